# SPDX-License-Identifier: Apache-2.0
"""How the text of each language becomes words: tokenizers, normalisers, stemmers and folding of document indices.

No stop words are dropped: phrases need them, and how rare words are is weighed when a query is compiled.
"""

from __future__ import annotations

from typing import Any

from pinakes.core.query.schema import BIGRAM_LANGUAGES, LANGUAGES, OTHER_LANGUAGE

Json = dict[str, Any]

# What the stemmer of a language is called in the engine.
_STEMMERS = {
    "ar": "arabic", "bg": "bulgarian", "bn": "bengali", "ca": "catalan", "cs": "czech", "da": "danish",
    "de": "light_german", "el": "greek", "en": "english", "es": "light_spanish", "et": "estonian", "eu": "basque",
    "fa": "persian", "fi": "finnish", "fr": "light_french", "ga": "irish", "gl": "galician", "hi": "hindi",
    "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "lv": "latvian", "nl": "dutch", "no": "norwegian", "pt": "light_portuguese", "ro": "romanian", "ru": "russian",
    "sv": "swedish", "tr": "turkish",
}  # fmt: skip
# How letters become small ones where Unicode's rule isn't the language's: i with and without a dot, final sigma, nA-.
_LOWER_CASE = {"tr": "lowercase_tr", "el": "lowercase_el", "ga": "lowercase_ga"}
# What comes before the stemmer, which must see letters in the form it knows.
_NORMALISERS = {
    "ar": ("decimal_digit", "arabic_normalization"),
    "bn": ("decimal_digit", "indic_normalization", "bengali_normalization"),
    "ca": ("elision_ca",),
    "de": ("german_normalization",),
    "en": ("possessive",),
    "fa": ("decimal_digit", "arabic_normalization", "persian_normalization"),
    "fr": ("elision_fr",),
    "ga": ("elision_ga",),
    "hi": ("decimal_digit", "indic_normalization", "hindi_normalization"),
    "it": ("elision_it",),
    "nl": ("possessive",),
    "th": ("decimal_digit",),
}
# What comes before the words are split and in small letters.
_FIRST = {"tr": ("apostrophe",)}
# Danish and Norwegian are also typed as ae, oe and aa; å, ä, æ and ø, ö are one letter in the neighbours' spellings.
_AFTER = {"da": ("scandinavian_folding",), "no": ("scandinavian_folding",)}
_CHARACTERS = {"fa": ("joiners",), "ro": ("cedillas",), "ja": ("compatible",)}
_ARTICLES = {
    "ca": ("d", "l", "m", "n", "s", "t"),
    "fr": ("l", "m", "t", "qu", "n", "s", "j", "d", "c", "jusqu", "quoiqu", "lorsqu", "puisqu"),
    "ga": ("d", "m", "b"),
    "it": (
        "c", "l", "all", "dall", "dell", "nell", "sull", "coll", "pell", "gl", "agl", "dagl", "degl", "negl", "sugl",
        "un", "m", "t", "s", "v", "d",
    ),
}  # fmt: skip
# Marks that folding would take for accents are vowels, tones and voicing in these scripts.
_FOLDED_SCRIPTS = r"[^\p{Devanagari}\p{Bengali}\p{Thai}\p{Hiragana}\p{Katakana}ー]"


def analyzers_of(language: str) -> Json:
    """Return the analyzers of a text field by the name of its mapping parameter."""
    name = "folded" if language == OTHER_LANGUAGE else f"text_{language}"
    if language == "ja":
        return {"analyzer": name}
    query = f"{name}_query" if language in BIGRAM_LANGUAGES else name
    return {"analyzer": name, "search_analyzer": query, "search_quote_analyzer": f"{name}_phrase"}


def analysis() -> Json:
    """Return the `analysis` part of the settings of a document index."""
    analyzers: Json = {}
    for language in (*LANGUAGES, OTHER_LANGUAGE):
        names = analyzers_of(language)
        if language == "ja":
            analyzers[names["analyzer"]] = _japanese()
        elif language in BIGRAM_LANGUAGES:
            analyzers[names["analyzer"]] = _bigrams("pairs_and_characters")
            analyzers[names["search_analyzer"]] = _bigrams("pairs")
            analyzers[names["search_quote_analyzer"]] = _bigrams("pairs_and_characters", "no_pairs")
        else:
            analyzers[names["analyzer"]] = _words(language, "names")
            analyzers[names["search_quote_analyzer"]] = _words(language, "parts")
    return {
        "char_filter": _character_filters(),
        "tokenizer": _tokenizers(),
        "filter": _filters(),
        "analyzer": analyzers,
    }


def _words(language: str, split: str) -> Json:
    """Return the analyzer of a language whose words the ICU tokenizer finds.

    `split` takes names such as `asyncio.gather`, `read_csv` and `TaskGroup` apart. By `names` an index has the whole name
    and its parts, and a query looks for the whole or for the parts in a row; by `parts` a phrase looks for the parts
    only, because the engine can't follow two ways of reading a word through a phrase. The whole stands at the place of
    its first part, as it would if the graph were flattened, which takes the engine longer than all the rest.
    """
    steps: list[str] = [*_FIRST.get(language, ()), split]
    if language == OTHER_LANGUAGE:
        return _custom("icu_tokenizer", [*steps, "icu_folding"])
    steps += (_LOWER_CASE.get(language, "lowercase"), *_NORMALISERS.get(language, ()))
    if language in _STEMMERS:
        steps.append(f"stem_{language}")
    # Stemmers know their language's accents, so folding comes after them.
    steps += (*_AFTER.get(language, ()), "fold")
    return _custom("icu_tokenizer", steps, _CHARACTERS.get(language, ()))


def _bigrams(*steps: str) -> Json:
    """Return the analyzer of a language that is written without spaces between words, or with long ones.

    Pairs of characters are looked for; single characters are in the index too, for queries that have only one. Phrases
    are of single characters: a word has one pair less than characters, so pairs don't count the places of an index.
    """
    return _custom("standard", ["cjk_width", "lowercase", *steps, "fold"], ("names_apart",))


def _japanese() -> Json:
    """Return the analyzer of Japanese: the dictionary's words in their base form, compounds in their parts."""
    steps = ["kuromoji_baseform", "kuromoji_stemmer", "cjk_width", "lowercase", "fold"]
    return _custom("words_ja", steps, _CHARACTERS["ja"])


def _custom(tokenizer: str, filters: list[str], characters: tuple[str, ...] = ()) -> Json:
    made: Json = {"type": "custom", "tokenizer": tokenizer, "filter": filters}
    return made | {"char_filter": list(characters)} if characters else made


def _character_filters() -> Json:
    return {
        # Persian joins a word and its endings by a character without width.
        "joiners": {"type": "mapping", "mappings": [r"\u200C=>\u0020"]},
        # Romanian's letters with a comma below were long typed with a cedilla.
        "cedillas": {"type": "mapping", "mappings": ["ş=>ș", "Ş=>Ș", "ţ=>ț", "Ţ=>Ț"]},
        # Letters of half width become whole before the dictionary is asked.
        "compatible": {"type": "icu_normalizer", "name": "nfkc_cf", "mode": "compose"},
        "names_apart": {"type": "pattern_replace", "pattern": r"(?<=[A-Za-z0-9])[._](?=[A-Za-z])", "replacement": " "},
    }


def _tokenizers() -> Json:
    # Without the compounds themselves: they would stand across their parts, which phrases can't follow.
    return {"words_ja": {"type": "kuromoji_tokenizer", "mode": "search", "discard_compound_token": True}}


def _filters() -> Json:
    apart: Json = {
        "type": "word_delimiter_graph",
        "split_on_numerics": False,
        "stem_english_possessive": False,
        # Apostrophes are the languages' own matter.
        "type_table": ["' => ALPHA", r"\u2019 => ALPHA", r"\uFF07 => ALPHA"],
    }
    filters: Json = {
        "names": apart | {"preserve_original": True},
        "parts": apart,
        "fold": {"type": "icu_folding", "unicode_set_filter": _FOLDED_SCRIPTS},
        "pairs": {"type": "cjk_bigram"},
        "pairs_and_characters": {"type": "cjk_bigram", "output_unigrams": True},
        "no_pairs": {"type": "keep_types", "types": ["<DOUBLE>"], "mode": "exclude"},
        "possessive": {"type": "stemmer", "language": "possessive_english"},
        "lowercase_tr": {"type": "lowercase", "language": "turkish"},
        "lowercase_el": {"type": "lowercase", "language": "greek"},
        "lowercase_ga": {"type": "lowercase", "language": "irish"},
    }
    for language, articles in _ARTICLES.items():
        filters[f"elision_{language}"] = {"type": "elision", "articles_case": True, "articles": list(articles)}
    for language, stemmer in _STEMMERS.items():
        filters[f"stem_{language}"] = {"type": "stemmer", "language": stemmer}
    return filters
