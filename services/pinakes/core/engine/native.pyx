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


include "native_out.pxi"
include "native_wire.pxi"
include "native_plain.pxi"
include "native_words.pxi"


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
