# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Usual documents compiled from their wire form to engine bodies, ten times as fast as by `documents.py` (decision 0024).

`documents.py` says what a body is; this writes the same for documents it is sure of, and answers None for all others: wrong
ones, nested attributes, unknown fields. Where it isn't built, everything goes the way of those others. A test with
random documents holds the two against each other, another compares `all_plain` with the contract.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport fabs, floor
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

import hashlib

import orjson

ctypedef const uint8_t* Bytes

cdef enum:
    MOST_ATTRIBUTES = 256
    MOST_TEXTS = 100
    MOST_WORDS = 32          # more are left to Python: they are compared with one another
    LONGEST_WORD = 64
    KEY_CHARS = 100
    LONGEST_TOKEN = 256      # bytes; longer ones are hashed
    SLOT_BYTES = 1000
    MOST_ROOM = 1 << 18      # of the memory of a plan
    HEAD = 20                # bytes of two numbers at most
    VARINT = 0
    FIXED64 = 1
    LENGTH = 2
    STRING = 1               # kinds of values
    NUMBER = 2
    BOOL = 3

cdef double EXACT = 9007199254740992.0


cdef struct Slice:
    Bytes at
    Py_ssize_t size


cdef struct Value:
    Slice key
    int kind
    Slice text
    double number
    bint flag


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
        cdef uint8_t* grown
        if self.size + more > self.room:
            while self.size + more > self.room:
                self.room *= 2
            grown = <uint8_t*>PyMem_Realloc(self.data, self.room)
            if grown == NULL:
                raise MemoryError
            self.data = grown
        return 0

    cdef int shrink(self) except -1:
        """Give the memory of an unusually long document back."""
        if self.room > MOST_ROOM:
            self.room = 1 << 14
            self.data = <uint8_t*>PyMem_Realloc(self.data, self.room)
        self.size = 0
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


# ---- the wire


cdef inline bint varint(Bytes* at, Bytes end, uint64_t* number) noexcept:
    """Read a number; False where there is none."""
    cdef int shift = 0
    number[0] = 0
    while at[0] < end and shift < 64:
        number[0] |= <uint64_t>(at[0][0] & 0x7F) << shift
        shift += 7
        at[0] += 1
        if not (at[0] - 1)[0] & 0x80:
            return True
    return False


cdef inline bint piece(Bytes* at, Bytes end, Slice* found) noexcept:
    """Read what has a length before it."""
    cdef uint64_t size
    if not varint(at, end, &size) or size > <uint64_t>(end - at[0]):
        return False
    found.at = at[0]
    found.size = <Py_ssize_t>size
    at[0] += size
    return True


cdef inline Py_ssize_t characters(Slice text) noexcept:
    """Count characters: all bytes but those that go on with one."""
    cdef Py_ssize_t i, count = 0
    for i in range(text.size):
        count += (text.at[i] & 0xC0) != 0x80
    return count


cdef inline uint64_t below(uint64_t eight, uint64_t least) noexcept:
    """Return other than 0 if one of eight bytes is less than a number up to 128."""
    return (eight - 0x0101010101010101ULL * least) & ~eight & 0x8080808080808080ULL


cdef Py_ssize_t plain_run(Bytes at, Py_ssize_t size) noexcept:
    """Return how many bytes from here on stand for themselves in a JSON string."""
    cdef Py_ssize_t i = 0
    cdef uint64_t eight
    while i + 8 <= size:
        memcpy(&eight, at + i, 8)
        if below(eight, 0x20) | below(eight ^ 0x2222222222222222ULL, 1) | below(eight ^ 0x5C5C5C5C5C5C5C5CULL, 1):
            break
        i += 8
    while i < size and at[i] >= 0x20 and at[i] != 0x22 and at[i] != 0x5C:
        i += 1
    return i


cdef inline bint ascii(Slice text) noexcept:
    cdef Py_ssize_t i
    for i in range(text.size):
        if text.at[i] & 0x80:
            return False
    return True


cdef struct Document:
    Slice title, body, language, attributes, source_uri, name, etag
    Slice tags[MOST_TEXTS]
    Slice readers[MOST_TEXTS]
    int tag_count, reader_count
    bint has_attributes, expires
    int64_t expire_ms


cdef bint read_time(Slice given, int64_t* milliseconds) noexcept:
    """Read a timestamp between 1970 and 9999; False for others."""
    cdef Bytes at = given.at
    cdef Bytes end = at + given.size
    cdef uint64_t tag, number
    cdef uint64_t seconds = 0, nanos = 0
    while at < end:
        if not varint(&at, end, &tag) or not varint(&at, end, &number):
            return False
        if tag == 8:
            seconds = number
        elif tag == 16:
            nanos = number
        else:
            return False
    if seconds >= 253402300800 or nanos >= 1000000000:
        return False
    milliseconds[0] = <int64_t>(seconds * 1000 + nanos // 1000000)
    return True


cdef bint read_document(Bytes at, Bytes end, Document* found) noexcept:
    """Find a document's fields; False if it has too many texts, an unusual time, or a field that isn't known."""
    cdef uint64_t tag
    cdef Slice part
    found.title.size = found.body.size = found.language.size = found.attributes.size = found.source_uri.size = 0
    found.name.size = found.etag.size = 0
    found.tag_count = found.reader_count = 0
    found.has_attributes = found.expires = False
    while at < end:
        if not varint(&at, end, &tag) or tag & 7 != LENGTH or not piece(&at, end, &part):
            return False
        tag >>= 3
        if tag == 1:
            found.name = part
        elif tag == 2:
            found.title = part
        elif tag == 3:
            found.body = part
        elif tag == 4:
            if found.tag_count == MOST_TEXTS:
                return False
            found.tags[found.tag_count] = part
            found.tag_count += 1
        elif tag == 5:
            found.language = part
        elif tag == 6:
            if found.has_attributes:
                return False  # two that are to be merged
            found.attributes = part
            found.has_attributes = True
        elif tag == 7:
            if found.reader_count == MOST_TEXTS:
                return False
            found.readers[found.reader_count] = part
            found.reader_count += 1
        elif tag == 8:
            found.source_uri = part
        elif tag == 11:
            if found.expires or not read_time(part, &found.expire_ms):
                return False
            found.expires = True
        elif tag == 12:
            found.etag = part
        elif tag != 9 and tag != 10 and tag != 13:  # those the caller can't set
            return False
    return True


cdef int read_values(Slice given, Value* values) noexcept:
    """Read attributes, in the order of their keys; -1 if there are too many, or others than texts, numbers and flags."""
    cdef Bytes at = given.at
    cdef Bytes end = at + given.size
    cdef Bytes inner, inner_end
    cdef uint64_t tag, number
    cdef Slice entry, message
    cdef Value value
    cdef int count = 0, place
    cdef bint keyed, valued
    while at < end:
        if count == MOST_ATTRIBUTES or not varint(&at, end, &tag) or tag != 10 or not piece(&at, end, &entry):
            return -1
        inner, inner_end = entry.at, entry.at + entry.size
        keyed = valued = False
        value.key.size = 0
        while inner < inner_end:
            if not varint(&inner, inner_end, &tag):
                return -1
            if tag == 10 and not keyed:
                if not piece(&inner, inner_end, &value.key):
                    return -1
                keyed = True
            elif tag == 18 and not valued:
                if not piece(&inner, inner_end, &message) or not read_value(message, &value):
                    return -1
                valued = True
            else:
                return -1
        if not keyed or not valued or memchr(value.key.at, 0x1F, value.key.size) != NULL:
            return -1
        place = count
        while place > 0 and before(value.key, values[place - 1].key):
            values[place] = values[place - 1]
            place -= 1
        values[place] = value
        count += 1
    return count


cdef inline bint before(Slice one, Slice other) noexcept:
    cdef int order = memcmp(one.at, other.at, min(one.size, other.size))
    return order < 0 or (order == 0 and one.size < other.size)


cdef bint read_value(Slice given, Value* value) noexcept:
    cdef Bytes at = given.at
    cdef Bytes end = at + given.size
    cdef uint64_t tag, number
    if not varint(&at, end, &tag):
        return False
    if tag == 26:
        value.kind = STRING
        return piece(&at, end, &value.text) and at == end
    if tag == 17:
        if end - at != 8:
            return False
        value.kind = NUMBER
        memcpy(&value.number, at, 8)
        return fabs(value.number) <= EXACT  # not of one that isn't finite
    if tag == 32:
        value.kind = BOOL
        if not varint(&at, end, &number) or at != end:
            return False
        value.flag = number != 0
        return True
    return False


# ---- constraints


cdef inline bint letter(uint8_t c) noexcept:
    return 0x61 <= c <= 0x7A


cdef inline bint digit(uint8_t c) noexcept:
    return 0x30 <= c <= 0x39


cdef Py_ssize_t part_end(Bytes at, Py_ssize_t size, Py_ssize_t start) noexcept:
    cdef Py_ssize_t i = start
    while i < size and at[i] != 0x2F:
        i += 1
    return i


cdef bint plain_name(Slice name) noexcept:
    """Tell whether it is `tenants/{tenant}/collections/{collection}/documents/{document}`."""
    cdef Bytes at = name.at
    cdef Py_ssize_t size = name.size, i, start = 8, end
    cdef uint8_t c
    if size < 8 or memcmp(at, b"tenants/", 8) != 0:
        return False
    end = part_end(at, size, start)
    if not (end - start == 1 and at[start] == 0x2D):
        if not 3 <= end - start <= 40 or not letter(at[start]) or at[end - 1] == 0x2D:
            return False
        for i in range(start, end):
            c = at[i]
            if not (letter(c) or digit(c) or c == 0x2D):
                return False
    if size - end < 13 or memcmp(at + end, b"/collections/", 13) != 0:
        return False
    start = end + 13
    end = part_end(at, size, start)
    if not 1 <= end - start <= 63 or not letter(at[start]):
        return False
    for i in range(start, end):
        c = at[i]
        if not (letter(c) or digit(c) or c == 0x2D):
            return False
    if size - end < 11 or memcmp(at + end, b"/documents/", 11) != 0:
        return False
    start = end + 11
    if not 1 <= size - start <= 128:
        return False
    for i in range(start, size):
        c = at[i]
        if not (letter(c) or digit(c) or 0x41 <= c <= 0x5A or c == 0x2D or c == 0x2E or c == 0x3A or c == 0x5F or c == 0x7E):
            return False
    return True


cdef bint plain_texts(Slice* texts, int count, Py_ssize_t longest) noexcept:
    cdef int i
    for i in range(count):
        if texts[i].size == 0 or (texts[i].size > longest and characters(texts[i]) > longest):
            return False
    return True


cdef bint plain_document(Document* document) noexcept:
    cdef Slice said = document.language
    return (
        document.title.size <= 1000 and document.source_uri.size <= 2000 and document.etag.size <= 128
        and plain_texts(document.tags, document.tag_count, 100)
        and plain_texts(document.readers, document.reader_count, 128)
        and (
            said.size == 0
            or (
                2 <= said.size <= 3 and letter(said.at[0]) and letter(said.at[1])
                and (said.size == 2 or letter(said.at[2]))
            )
        )
    )


cdef int next_item(Bytes* at, Bytes end, int field, Slice* found) noexcept:
    """Find the next item of a repeated field in a message: 1, 0 at its end, -1 where it can't be read."""
    cdef uint64_t tag
    cdef uint64_t wanted = (<uint64_t>field << 3) | LENGTH
    while at[0] < end:
        if not varint(at, end, &tag):
            return -1
        if tag & 7 == VARINT:
            if not varint(at, end, &tag):
                return -1
            continue
        if tag & 7 != LENGTH or not piece(at, end, found):
            return -1
        if tag == wanted:
            return 1
    return 0


cdef bint read_put(Slice write, Document* found) noexcept:
    """Read the document that a `DocumentWrite` puts; False for anything else."""
    cdef Bytes at = write.at
    cdef Bytes end = at + write.size
    cdef uint64_t tag
    cdef Slice part
    # A write with both operations, or one in two parts, has more than one field.
    if not varint(&at, end, &tag) or tag != 10 or not piece(&at, end, &part) or at != end:
        return False
    return read_document(part.at, part.at + part.size, found)


def all_plain(bytes message, int field):
    """Tell whether all writes in a repeated field of a serialized message are sure to keep the contract's constraints."""
    cdef Bytes at = <Bytes>PyBytes_AS_STRING(message)
    cdef Bytes end = at + PyBytes_GET_SIZE(message)
    cdef Slice write
    cdef Document document
    cdef int more
    while True:
        more = next_item(&at, end, field, &write)
        if more <= 0:
            return more == 0
        if not read_put(write, &document) or not plain_name(document.name) or not plain_document(&document):
            return False


cdef bint begins(Slice text, bytes prefix) noexcept:
    return text.size >= PyBytes_GET_SIZE(prefix) and memcmp(text.at, PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix)) == 0


# ---- queueing


def framed(int field, str document_id, int64_t revision, bytes body, str content_hash, uint64_t position, uint64_t retries):
    """Return a `pinakes.queue.v1.Write` as it stands in a repeated field of a message."""
    cdef Out out = Out.__new__(Out)
    cdef Py_ssize_t start
    out.size = HEAD
    out.field(1, document_id.encode())
    out.number_field(2, <uint64_t>revision)
    out.field(3, body)
    out.field(4, content_hash.encode())
    out.number_field(5, position)
    out.number_field(6, retries)
    # What stands before it says how long it is, so it is put there last.
    cdef Py_ssize_t size = out.size - HEAD
    out.varint((<uint64_t>field << 3) | LENGTH)
    out.varint(size)
    start = HEAD - (out.size - HEAD - size)
    memcpy(out.data + start, out.data + HEAD + size, HEAD - start)
    return PyBytes_FromStringAndSize(<char*>out.data + start, HEAD - start + size)


# ---- compiling


cdef class Plan:
    """How the documents of one collection are compiled.

    `common` is what every body holds, as JSON with a comma at its end; `prefix` is what its words begin with. `declared` has
    type and slot of each declared attribute. `fields` gives the suffix of the text fields of a language, `detect` the
    language of title and body, `words` and `key` the words and the place in the order of titles, `token` the tokens of
    a value that may be long, `time` the ms of a time or a ValueError.
    """

    cdef bytes common, prefix
    cdef dict declared, languages
    cdef object fields, detect, words, key, token, presence, time
    cdef bytes single
    cdef Py_ssize_t largest
    cdef int most
    cdef Out scratch, out

    def __init__(
        self, bytes common, str prefix, dict declared, bytes single, Py_ssize_t largest, int most,
        fields, detect, words, key, token, presence, time,
    ):
        self.common, self.declared, self.single = common, declared, single
        quoted = orjson.dumps(prefix)
        self.prefix = quoted[1:len(quoted) - 1]
        self.largest, self.most = largest, most
        self.fields, self.detect, self.words, self.key = fields, detect, words, key
        self.token, self.presence, self.time = token, presence, time
        self.languages = {}
        self.scratch, self.out = Out(), Out()

    def compile(self, bytes raw, str document_id, int64_t revision, int64_t revision_ms):
        """Return body, content hash and size of a serialized document that wasn't checked, or None: it goes the other way."""
        cdef Document document
        cdef Bytes at = <Bytes>PyBytes_AS_STRING(raw)
        if PyBytes_GET_SIZE(raw) > self.largest or not read_document(at, at + PyBytes_GET_SIZE(raw), &document):
            return None
        return self.made(&document, document_id, revision, revision_ms)

    def compile_all(self, bytes message, int field, tuple prefixes, int64_t first, int64_t step, int64_t first_us):
        """Compile the documents that a repeated field of a serialized message puts: a list, None for those it isn't sure of.

        The revision of the first is `first`, of a time in µs since 1970; each next one is a `step` and 1 µs after it. Of
        each: the fields of a `Change`; its id is what follows on one of `prefixes` in its name. None in place of the
        list says that the message can't be read.
        """
        cdef Bytes at = <Bytes>PyBytes_AS_STRING(message)
        cdef Bytes end = at + PyBytes_GET_SIZE(message)
        cdef Slice write
        cdef Document document
        cdef int more
        cdef int64_t number = 0, revision
        cdef list found = []
        while True:
            more = next_item(&at, end, field, &write)
            if more <= 0:
                return found if more == 0 else None
            one = None
            if write.size <= self.largest and read_put(write, &document) and plain_name(document.name):
                for prefix in prefixes:
                    if begins(document.name, <bytes?>prefix):
                        document_id = PyUnicode_DecodeUTF8(
                            <char*>document.name.at + PyBytes_GET_SIZE(prefix),
                            document.name.size - PyBytes_GET_SIZE(prefix), NULL,
                        )
                        revision = first + number * step
                        made = self.made(&document, document_id, revision, (first_us + number) // 1000)
                        if made is not None:
                            one = (document_id, revision, made[0], made[1], 0, b"", made[2])
                        break
            found.append(one)
            number += 1

    cdef tuple made(self, Document* document, str document_id, int64_t revision, int64_t revision_ms):
        """Return body, content hash and size of a document, or None."""
        cdef Value values[MOST_ATTRIBUTES]
        cdef int count = 0
        if not plain_document(document) or document.etag.size:
            return None
        if document.has_attributes:
            count = read_values(document.attributes, values)
            if count < 0 or count > self.most:
                return None
        said = self.said(document)
        content = self.content(document, values, count, said)
        made = self.body(document, values, count, said, content, document_id, revision, revision_ms)
        self.scratch.shrink()
        self.out.shrink()
        return made

    cdef bytes said(self, Document* document):
        """Return the language that a document says, or is in."""
        if document.language.size:
            return PyBytes_FromStringAndSize(<char*>document.language.at, document.language.size)
        if self.single is not None:
            return self.single
        title, body = _str(document.title), _str(document.body)
        return (<str>self.detect(title, body)).encode()

    cdef str content(self, Document* document, Value* values, int count, bytes said):
        """Return the content's hash, as `documents.content_hash` makes it. `scratch` keeps what was hashed."""
        cdef Out out = self.scratch
        cdef int i
        out.size = 0
        out.char(0x5B)
        out.quoted(document.title.at, document.title.size)
        out.char(0x2C)
        out.quoted(document.body.at, document.body.size)
        out.char(0x2C)
        _list(out, document.tags, document.tag_count)
        out.put(b',"', 2)
        out.text(said)
        out.put(b'",{', 3)
        for i in range(count):
            if i:
                out.char(0x2C)
            out.quoted(values[i].key.at, values[i].key.size)
            out.char(0x3A)
            if values[i].kind == STRING:
                out.quoted(values[i].text.at, values[i].text.size)
            elif values[i].kind == BOOL:
                out.text(b"true" if values[i].flag else b"false")
            else:
                out.number(values[i].number)
        out.put(b"},", 2)
        _list(out, document.readers, document.reader_count)
        out.char(0x2C)
        out.quoted(document.source_uri.at, document.source_uri.size)
        out.char(0x2C)
        if document.expires:
            out.integer(document.expire_ms)
        else:
            out.put(b"null", 4)
        out.char(0x5D)
        return hashlib.blake2b(out.taken(), digest_size=16).hexdigest()

    cdef tuple body(
        self, Document* document, Value* values, int count, bytes said, str content, str document_id, int64_t revision,
        int64_t revision_ms,
    ):
        cdef Out out = self.out
        cdef Py_ssize_t size = document.title.size + document.body.size + document.source_uri.size
        cdef int i
        cdef tuple names = self.languages.get(said)
        if names is None:
            field = self.fields(said.decode())
            names = (f',"language":"{said.decode()}","title_{field}":'.encode(), f',"body_{field}":'.encode())
            self.languages[said] = names
        out.size = 0
        out.put(b'{"create_time":', 15)
        out.integer(revision_ms)
        out.text(self.common)
        out.text(document_id.encode())
        out.put(b'","revision":', 13)
        out.integer(revision)
        out.put(b',"deleted":false', 16)
        out.text(names[0])
        out.quoted(document.title.at, document.title.size)
        out.text(names[1])
        out.quoted(document.body.at, document.body.size)
        out.put(b',"hash":"', 9)
        out.text(content.encode())
        out.put(b'","update_time":', 16)
        out.integer(revision_ms)
        if self.declared and not self.slots(values, count):
            return None
        if document.tag_count:
            out.put(b',"tags":', 8)
            _list(out, document.tags, document.tag_count)
            out.put(b',"tags_text":', 13)
            _list(out, document.tags, document.tag_count)
        self.word_list(document)
        if document.reader_count:
            out.put(b',"readers":', 11)
            _list(out, document.readers, document.reader_count)
        if document.source_uri.size:
            out.put(b',"source_uri":', 14)
            out.quoted(document.source_uri.at, document.source_uri.size)
        if document.expires:
            out.put(b',"expire_time":', 15)
            out.integer(document.expire_ms)
        if count:
            out.put(b',"attrs":"', 10)
            out.base64(document.attributes.at, document.attributes.size)
            out.char(0x22)
            self.tokens(values, count)
            size += document.attributes.size
        for i in range(document.tag_count):
            size += document.tags[i].size
        for i in range(document.reader_count):
            size += document.readers[i].size
        out.put(b',"bytes":', 9)
        out.integer(size)
        out.char(0x7D)
        return out.taken(), content, size

    cdef bint slots(self, Value* values, int count) except -1:
        """Add the declared attributes; False if one doesn't fit its type."""
        cdef Out out = self.out
        cdef int i
        for i in range(count):
            found = self.declared.get(_str(values[i].key))
            if found is None:
                continue
            kind, name = found
            out.put(b',"', 2)
            out.text(name)
            out.put(b'":', 2)
            if kind == "string" or kind == "text":
                if values[i].kind != STRING or (kind == "string" and values[i].text.size > SLOT_BYTES):
                    return False
                out.quoted(values[i].text.at, values[i].text.size)
            elif kind == "bool":
                if values[i].kind != BOOL:
                    return False
                out.text(b'"true"' if values[i].flag else b'"false"')
            elif kind == "number":
                if values[i].kind != NUMBER:
                    return False
                out.number(values[i].number)
            elif kind == "time":
                if values[i].kind != STRING:
                    return False
                try:
                    out.integer(self.time(_str(values[i].text)))
                except ValueError:
                    return False
            else:
                return False
        return True

    cdef int word_list(self, Document* document) except -1:
        """Add the words of title and tags, and the title's key."""
        cdef Out out = self.out
        cdef Py_ssize_t start = out.size
        cdef int i
        cdef bint plain = ascii(document.title)
        for i in range(document.tag_count):
            plain = plain and ascii(document.tags[i])
        if not plain or not self.ascii_words(document):
            out.size = start
            title = _str(document.title)
            found = self.words(title, [_str(document.tags[i]) for i in range(document.tag_count)])
            if found:
                out.put(b',"words":[', 10)
                for i, word in enumerate(found):
                    out.put(b',"' if i else b'"', 2 if i else 1)
                    out.text(self.prefix)
                    out.text(orjson.dumps(word)[1:])
                out.char(0x5D)
            key = self.key(title)
            if key:
                out.put(b',"title_key":"', 14)
                out.text(self.prefix)
                out.text(orjson.dumps(key)[1:])
        return 0

    cdef bint ascii_words(self, Document* document) except -1:
        """Add them for texts in ASCII; False if there are so many words that Python is to do it."""
        cdef Out out = self.out
        cdef Slice words[MOST_WORDS]
        cdef int count = 0, number
        cdef Py_ssize_t start
        if document.title.size > 2 * KEY_CHARS:
            return False
        count = _words_in(document.title, words, count)
        for number in range(document.tag_count):
            if count < 0:
                return False
            count = _words_in(document.tags[number], words, count)
        if count < 0:
            return False
        if count:
            out.put(b',"words":[', 10)
            for number in range(count):
                out.put(b',"' if number else b'"', 2 if number else 1)
                out.text(self.prefix)
                _lower(out, words[number].at, words[number].size)
                out.char(0x22)
            out.char(0x5D)
        start = out.size
        out.put(b',"title_key":"', 14)
        out.text(self.prefix)
        if _key(out, document.title):
            out.char(0x22)
        else:
            out.size = start
        return True

    cdef int tokens(self, Value* values, int count) except -1:
        """Add the tokens of the attributes that aren't declared."""
        cdef Out out = self.out
        cdef int i
        cdef bint first = True
        for i in range(count):
            if self.declared and _str(values[i].key) in self.declared:
                continue
            out.text(b',"kv":[' if first else b",")
            first = False
            if self.plain_token(&values[i]):
                continue
            key = _str(values[i].key)
            value = _str(values[i].text) if values[i].kind == STRING else values[i].number
            out.text(orjson.dumps(self.token(key, value)))
            out.char(0x2C)
            out.text(orjson.dumps(self.presence(key)))
        if not first:
            out.char(0x5D)
        return 0


    cdef bint plain_token(self, Value* value) except -1:
        """Add the tokens of a value that need no hash, nor a fraction in Python's words; False if they do."""
        cdef Out out = self.out
        if value.key.size + (value.text.size if value.kind == STRING else 20) + 3 > LONGEST_TOKEN:
            return False
        if value.kind == NUMBER and value.number != floor(value.number):
            return False
        out.char(0x22)
        out.escaped(value.key.at, value.key.size)
        if value.kind == STRING:
            out.put(b"\\u001fs:", 8)
            out.escaped(value.text.at, value.text.size)
        elif value.kind == BOOL:
            out.text(b"\\u001fb:true" if value.flag else b"\\u001fb:false")
        else:
            out.put(b"\\u001fn:", 8)
            out.integer(<int64_t>value.number)
        out.put(b'","', 3)
        out.escaped(value.key.at, value.key.size)
        out.put(b'\\u001f*"', 8)
        return True


cdef str _str(Slice text):
    return PyUnicode_DecodeUTF8(<char*>text.at, text.size, NULL)


cdef int _list(Out out, Slice* texts, int count) except -1:
    cdef int i
    out.char(0x5B)
    for i in range(count):
        if i:
            out.char(0x2C)
        out.quoted(texts[i].at, texts[i].size)
    return out.char(0x5D)


cdef inline bint _word(uint8_t c) noexcept:
    return letter(c) or digit(c) or 0x41 <= c <= 0x5A or c == 0x5F


cdef inline uint8_t _small(uint8_t c) noexcept:
    return c + 32 if 0x41 <= c <= 0x5A else c


cdef bint _same(Slice one, Slice other) noexcept:
    cdef Py_ssize_t i
    if one.size != other.size:
        return False
    for i in range(one.size):
        if _small(one.at[i]) != _small(other.at[i]):
            return False
    return True


cdef int _words_in(Slice text, Slice* words, int count) noexcept:
    r"""Add the words of a text, `\w+(?:'\w+)*`, that aren't there yet; return how many there are, -1 if too many."""
    cdef Py_ssize_t i = 0
    cdef Slice word
    cdef int other
    while i < text.size:
        if not _word(text.at[i]):
            i += 1
            continue
        word.at = text.at + i
        while i < text.size and (
            _word(text.at[i]) or (text.at[i] == 0x27 and i + 1 < text.size and _word(text.at[i + 1]))
        ):
            i += 1
        word.size = text.at + i - word.at
        if word.size > LONGEST_WORD:
            continue
        for other in range(count):
            if _same(words[other], word):
                break
        else:
            if count == MOST_WORDS:
                return -1
            words[count] = word
            count += 1
    return count


cdef int _lower(Out out, Bytes at, Py_ssize_t size) except -1:
    cdef Py_ssize_t i
    out.need(size)
    for i in range(size):
        out.data[out.size + i] = _small(at[i])
    out.size += size
    return 0


cdef bint _key(Out out, Slice title) except -1:
    """Add a title in small letters with single spaces, its first characters; False if there are none."""
    cdef Py_ssize_t i
    cdef int written = 0
    cdef bint gap = False
    cdef uint8_t c
    for i in range(title.size):
        c = _small(title.at[i])
        if c == 0x20 or 9 <= c <= 13 or 0x1C <= c <= 0x1F:
            gap = written > 0
            continue
        if gap:
            if written == KEY_CHARS:
                break
            out.char(0x20)
            written += 1
            gap = False
        if written == KEY_CHARS:
            break
        out.escaped(&c, 1)
        written += 1
    return written > 0
