# SPDX-License-Identifier: Apache-2.0
# Of native.pyx: bytes that grow, as JSON and as fields of a message.


cdef class Out:
    """Bytes that grow."""

    cdef uint8_t* data
    cdef Py_ssize_t size, room

    def __cinit__(self):
        self.room = 1 << 14
        self.size = 0
        self.data = <uint8_t*>PyMem_Malloc(self.room)
        if self.data == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef int need(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t room = self.room
        if self.size + more > room:
            while self.size + more > room:
                room *= 2
            self.resize(room)
        return 0

    cdef int resize(self, Py_ssize_t room) except -1:
        cdef uint8_t* resized = <uint8_t*>PyMem_Realloc(self.data, room)
        if resized == NULL:
            raise MemoryError
        self.data, self.room = resized, room
        return 0

    cdef int shrink(self) except -1:
        """Give the memory of an unusually long document back."""
        self.size = 0
        if self.room > MOST_ROOM:
            self.resize(1 << 14)
        return 0

    cdef int put(self, const void* at, Py_ssize_t size) except -1:
        self.need(size)
        memcpy(self.data + self.size, at, size)
        self.size += size
        return 0

    cdef int text(self, bytes given) except -1:
        return self.put(PyBytes_AS_STRING(given), PyBytes_GET_SIZE(given))

    cdef int char(self, uint8_t one) except -1:
        self.need(1)
        self.data[self.size] = one
        self.size += 1
        return 0

    cdef int escaped(self, Bytes at, Py_ssize_t size) except -1:
        """Add text as it stands in a JSON string, as orjson writes it."""
        cdef Py_ssize_t i = 0, start = 0
        cdef uint8_t c
        cdef uint8_t* to
        self.need(6 * size)
        to = self.data + self.size
        while True:
            i += plain_run(at + i, size - i)
            if i == size:
                break
            c = at[i]
            memcpy(to, at + start, i - start)
            to += i - start
            i += 1
            start = i
            to[0] = 0x5C
            if c == 0x22 or c == 0x5C:
                to[1] = c
                to += 2
            elif c == 8 or c == 9 or c == 10 or c == 12 or c == 13:
                to[1] = b"btn-fr"[c - 8]
                to += 2
            else:
                memcpy(to + 1, b"u00", 3)
                to[4] = b"01"[c >> 4]
                to[5] = b"0123456789abcdef"[c & 15]
                to += 6
        memcpy(to, at + start, size - start)
        self.size = to + (size - start) - self.data
        return 0

    cdef int quoted(self, Bytes at, Py_ssize_t size) except -1:
        self.char(0x22)
        self.escaped(at, size)
        return self.char(0x22)

    cdef int integer(self, int64_t number) except -1:
        cdef uint8_t digits[24]
        cdef int i = 24
        cdef uint64_t left = <uint64_t>number
        if number < 0:
            left = <uint64_t>(-(number + 1)) + 1
        while True:
            i -= 1
            digits[i] = 0x30 + <uint8_t>(left % 10)
            left //= 10
            if left == 0:
                break
        if number < 0:
            i -= 1
            digits[i] = 0x2D
        return self.put(digits + i, 24 - i)

    cdef int number(self, double number) except -1:
        """Add a number as orjson writes it."""
        if number == floor(number):
            return self.integer(<int64_t>number)
        return self.text(orjson.dumps(number))

    cdef int base64(self, Bytes at, Py_ssize_t size) except -1:
        cdef const char* letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        cdef Py_ssize_t i = 0
        cdef uint32_t three
        cdef uint8_t* to
        self.need((size + 2) // 3 * 4)
        to = self.data + self.size
        while i + 2 < size:
            three = (<uint32_t>at[i] << 16) | (<uint32_t>at[i + 1] << 8) | at[i + 2]
            to[0] = letters[three >> 18]
            to[1] = letters[(three >> 12) & 63]
            to[2] = letters[(three >> 6) & 63]
            to[3] = letters[three & 63]
            to += 4
            i += 3
        if i < size:
            three = <uint32_t>at[i] << 16
            if i + 1 < size:
                three |= <uint32_t>at[i + 1] << 8
            to[0] = letters[three >> 18]
            to[1] = letters[(three >> 12) & 63]
            to[2] = letters[(three >> 6) & 63] if i + 1 < size else 0x3D
            to[3] = 0x3D
            to += 4
        self.size = to - self.data
        return 0

    cdef int varint(self, uint64_t number) except -1:
        while number > 0x7F:
            self.char(<uint8_t>(number & 0x7F) | 0x80)
            number >>= 7
        return self.char(<uint8_t>number)

    cdef int field(self, int number, bytes given) except -1:
        """Add a field of a message; one that is empty isn't there."""
        if PyBytes_GET_SIZE(given):
            self.varint((<uint64_t>number << 3) | LENGTH)
            self.varint(PyBytes_GET_SIZE(given))
            self.text(given)
        return 0

    cdef int number_field(self, int number, uint64_t given) except -1:
        if given:
            self.varint(<uint64_t>number << 3)
            self.varint(given)
        return 0

    cdef bytes taken(self):
        return PyBytes_FromStringAndSize(<char*>self.data, self.size)
