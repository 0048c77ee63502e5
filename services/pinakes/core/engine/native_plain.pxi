# SPDX-License-Identifier: Apache-2.0
# Of native.pyx: the constraints of the contract, for documents that plainly keep them.


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
