# SPDX-License-Identifier: Apache-2.0
# Of native.pyx: texts: lists of them, the words of titles and tags, a title's place in an order.


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
