# SPDX-License-Identifier: Apache-2.0
"""What keeps tenants apart, and the tests that must notice when a part of it is missing: quick ones first, then slow ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutate.edits import (
    Edit,
    Mutant,
    Source,
    choices,
    elements,
    guards,
    keywords,
    operands,
    refusals,
    rows,
    statements,
    verdicts,
    widened,
)

CORE, SEARCH = "services/pinakes/core/", "services/pinakes/search/"
CHECKS: tuple[Edit, ...] = (guards, operands, verdicts)
# On a running platform, whose servers have the mutant's code.
SLOW = (
    "tests/integration/test_scope.py",
    "tests/e2e/test_readers.py",
    "tests/e2e/test_scoped_tokens.py",
    "tests/e2e/test_personal_data.py",
    "tests/e2e/test_isolation_tricks.py",
    "tests/e2e/test_isolation_matrix.py",
    "tests/integration/test_identity.py",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A function, class or table (`name` is its qualified name), how it is changed, and its quick tests.

    `about` are parts of what is taken out, where not all that a function does keeps anybody apart.
    """

    file: str
    name: str
    quick: tuple[str, ...]
    edits: tuple[Edit, ...] = CHECKS
    about: tuple[str, ...] = ("",)

    def mutants(self, root: Path) -> Iterator[Mutant]:
        """Yield its mutants."""
        source = Source(self.file, (root / self.file).read_text("utf-8"))
        within = source.table(self.name) if self.name.strip("_").isupper() else source.function(self.name)
        for edit in self.edits:
            yield from (one for one in edit(source, within) if any(part in one.what for part in self.about))


_TABLE = ("tests/contract/test_permissions.py", "tests/unit/core/rpc/test_permissions_table.py")
_AUTHORIZE = ("tests/unit/core/rpc/test_authorize.py", "tests/unit/core/rpc/test_chain_streams.py")
_NARROWED = (*_AUTHORIZE, "tests/unit/core/identity/test_scoped.py")
_SCOPE = ("tests/unit/core/engine/test_scope.py",)
_CACHE = ("tests/unit/core/cache/test_responses.py", "tests/unit/search/test_cache_keys.py")
_JWT = (
    "tests/integration/test_jwt.py",
    "tests/integration/test_jwks.py",
    "tests/unit/core/identity/test_signatures.py",
)
_KEYS = ("tests/unit/core/identity",)
_STATES = (*_AUTHORIZE, *_TABLE)
_PERSONAL = ("tests/unit/core/privacy", "tests/unit/core/query/test_readable.py")
_LIMITS = ("tests/unit/core/limits",)
_SEEN = ("tests/unit/core/rpc/test_scopes.py",)
_PAGES = ("tests/unit/core/rpc/test_paging.py",)
_SHARED = ("tests/integration/test_multiplexed.py",)
_WIRES = ("tests/integration/test_engine_connection.py",)
_PLAIN = ("tests/unit/core/rpc/test_plain.py",)
_HIDDEN = ("tests/unit/search/test_hidden_words.py",)
_INSIGHT = ("tests/unit/search/test_insight_privacy.py", "tests/unit/search/test_insight.py")
_CLASSES = ("tests/unit/core/tenancy/test_personal.py", "tests/unit/index/test_collection_changes.py")
_AUDIT = ("tests/unit/core/rpc/test_audited_calls.py",)
_TURN = ("tests/unit/worker/test_import_turn.py",)
_LEASE = ("tests/unit/core/tenancy/test_placement.py",)
_DIRECTORY = ("tests/unit/core/tenancy/test_directory.py",)
_TAKEN = ("tests/unit/core/audit/test_log.py",)
_SEARCHING = ("tests/unit/core/rpc/test_searching.py",)
_PERMISSIONS = CORE + "identity/permissions.py"

TARGETS: tuple[Target, ...] = (
    # Who may do what.
    Target(_PERMISSIONS, "RULES", _TABLE, (rows,)),
    Target(_PERMISSIONS, "GRANTS", _TABLE, (elements, widened)),
    Target(_PERMISSIONS, "_WRITE", _TABLE, (elements,)),
    Target(_PERMISSIONS, "_READ", _TABLE, (elements,)),
    Target(_PERMISSIONS, "TENANT_DATA", _TABLE, (elements,)),
    Target(_PERMISSIONS, "ADMINISTRATION", _TABLE, (elements,)),
    Target(_PERMISSIONS, "STATES", _TABLE, (elements,)),
    Target(_PERMISSIONS, "SEES_ALL", _KEYS, (elements, widened)),
    Target(_PERMISSIONS, "FILTERED", _TABLE, (elements, widened)),
    Target(_PERMISSIONS, "BEYOND_COLLECTIONS", _TABLE, (elements, widened)),
    Target(CORE + "tenancy/models.py", "WHOLE", _STATES, (elements,)),
    Target(CORE + "rpc/checks.py", "authorize", _AUTHORIZE),
    Target(
        CORE + "identity/principal.py", "Principal.belongs_to", (*_AUTHORIZE, "tests/unit/core/engine/test_scope.py")
    ),
    Target(CORE + "rpc/checks.py", "_usable", _AUTHORIZE),
    Target(CORE + "rpc/checks.py", "_admin_reason", _AUTHORIZE),
    Target(CORE + "rpc/checks.py", "_name_in", _AUTHORIZE),
    Target(CORE + "rpc/checks.py", "_check_collection", _NARROWED),
    Target(CORE + "operations/records.py", "OperationRecord.visible_to", ("tests/unit/core/operations",)),
    # The one door to documents.
    Target(CORE + "engine/scope.py", "TenantScope.__init__", _SCOPE),
    Target(CORE + "engine/scope.py", "TenantScope._checked", _SCOPE),
    Target(CORE + "engine/scope.py", "TenantScope.may_read", _SCOPE),
    Target(CORE + "engine/scope.py", "TenantScope.filters", _SCOPE, (*CHECKS, elements, statements)),
    Target(CORE + "engine/scope.py", "TenantScope._search", _SCOPE, (*CHECKS, statements)),
    Target(CORE + "privacy/sight.py", "narrowed_blindly", _CACHE),
    Target(CORE + "query/allowlist.py", "check_body", ("tests/unit/core/query/test_allowlist.py",)),
    Target(CORE + "query/allowlist.py", "check", ("tests/unit/core/query/test_allowlist.py",)),
    Target(CORE + "query/allowlist.py", "_leaf", ("tests/unit/core/query/test_allowlist.py",)),
    # Who sees personal data, and who may look for it.
    Target(CORE + "engine/scope.py", "TenantScope.shown", _SCOPE, (statements,)),
    Target(CORE + "rpc/scopes.py", "_opened", _SEEN, (*CHECKS, keywords)),
    Target(CORE + "engine/scope.py", "TenantScope.as_seen", _SEEN, (*CHECKS, keywords)),
    Target(
        "services/pinakes/worker/jobs/export.py",
        "_condition",
        ("tests/unit/worker/test_export.py",),
        (guards, keywords),
    ),
    Target(CORE + "privacy/sight.py", "sees_personal_data", _PERSONAL),
    Target(CORE + "privacy/sight.py", "role_sees", _PERSONAL),
    Target(CORE + "privacy/sight.py", "mask_document", _PERSONAL, (*CHECKS, statements)),
    Target(CORE + "privacy/sight.py", "_mask_value", _PERSONAL, (*CHECKS, statements)),
    Target(CORE + "privacy/classes.py", "HIDING", _PERSONAL, (elements,)),
    Target(CORE + "privacy/classes.py", "class_of", _PERSONAL),
    Target(CORE + "query/readable.py", "check_readable", _PERSONAL),
    Target(CORE + "query/schema.py", "Schema.hides", _PERSONAL),
    Target(CORE + "query/narrowing.py", "narrowing_condition", _PERSONAL, (choices,)),
    Target(CORE + "query/filter_compiler.py", "_Compiler._resolve", _PERSONAL, (refusals,)),
    Target(CORE + "query/filter_compiler.py", "_Compiler._check_readable", _PERSONAL, (refusals,)),
    Target(CORE + "query/order.py", "_distance", _PERSONAL, (refusals,)),
    Target(CORE + "query/order.py", "_plain", _PERSONAL, (refusals,)),
    Target(CORE + "query/order.py", "_slot", _PERSONAL, (refusals,)),
    Target(CORE + "query/collapse.py", "collapse_slot", _PERSONAL, (refusals,)),
    Target(CORE + "query/facet_fields.py", "facet_field", _PERSONAL, (refusals,)),
    Target(CORE + "query/ranking.py", "_attribute", _PERSONAL, (refusals,)),
    Target(CORE + "query/ranking.py", "_passing_hidden", _PERSONAL, (operands,), about=("not own",)),
    Target(CORE + "query/options.py", "_options", _PERSONAL, (operands, refusals), about=("hidden", "readable")),
    Target(SEARCH + "queries/highlights.py", "compile_highlights", _PERSONAL, (refusals,)),
    Target(SEARCH + "queries/suggest.py", "run", _HIDDEN, (operands,), about=("hidden",)),
    Target(SEARCH + "queries/corrections.py", "correction", _HIDDEN, (operands,), about=("hidden",)),
    Target(SEARCH + "vocabulary.py", "Vocabulary.weights", _HIDDEN, (operands,), about=("hidden",)),
    Target(SEARCH + "servicer.py", "SearchServicer._noted", _INSIGHT, (operands,), about=("personal",)),
    Target(SEARCH + "insight.py", "names_personal_data", _INSIGHT),
    Target(CORE + "tenancy/personal.py", "may_change", _CLASSES),
    Target(CORE + "tenancy/personal.py", "_removed", _CLASSES, (operands,)),
    Target("services/pinakes/index/commands/collections.py", "update", _CLASSES, (refusals,), about=("may_change",)),
    # What belongs to a request.
    Target(CORE + "cache/responses.py", "cache_key", _CACHE, (elements, statements)),
    Target(CORE + "cache/responses.py", "unpack", _CACHE),
    Target(SEARCH + "servicer.py", "_key", _CACHE, (operands, keywords)),
    Target(CORE + "rpc/paging.py", "PageTokens.read", _PAGES),
    Target(SEARCH + "search_ids.py", "SearchIds.read", ("tests/unit/search/test_search_ids.py",)),
    # Whose answer it is, on connections that several use.
    Target(CORE + "multiplexed.py", "_Line.data_received", _SHARED, (*CHECKS, statements)),
    Target(CORE + "engine/connection.py", "EngineConnection._exchange", _WIRES, (*CHECKS, statements)),
    Target(CORE + "engine/connection.py", "_Wire.on_message_complete", _WIRES, (*CHECKS, statements)),
    # What isn't taken through the contract's constraints.
    Target(CORE + "rpc/plain.py", "plain", _PLAIN),
    Target(CORE + "rpc/plain.py", "_update", _PLAIN),
    Target(CORE + "rpc/plain.py", "_create", _PLAIN),
    Target(CORE + "rpc/plain.py", "_search", _PLAIN),
    # Who calls.
    Target(CORE + "identity/keys.py", "parse", _KEYS),
    Target(CORE + "identity/keys.py", "matches", _KEYS),
    Target(CORE + "identity/scoped.py", "ScopedToken.signed_by", _KEYS),
    Target(CORE + "identity/scoped.py", "parse", _KEYS),
    Target(CORE + "identity/scoped.py", "narrowed", _KEYS),
    Target(CORE + "identity/scoped.py", "_checked", _KEYS),
    Target(CORE + "identity/scoped.py", "_ROLES", _KEYS, (elements,)),
    Target(CORE + "identity/seen.py", "SeenCredentials.get", _KEYS),
    Target(CORE + "identity/seen.py", "SeenCredentials._stands", _KEYS),
    Target(CORE + "tenancy/directory.py", "Directory.tenant_of", _KEYS),
    Target(CORE + "tenancy/directory.py", "CachedRecords.known", _DIRECTORY),
    Target(CORE + "tenancy/directory.py", "Directory.whole_tenant", _TURN),
    Target("services/pinakes/worker/jobs/import_.py", "_in_turn", _TURN, (guards,)),
    Target(CORE + "tenancy/lease.py", "PlacementLease._known", _LEASE),
    Target(CORE + "tenancy/lease.py", "_there", _LEASE),
    Target(CORE + "identity/peppers.py", "Peppers.matches", _KEYS),
    Target(CORE + "identity/claims.py", "ClaimMapping", _KEYS),
    Target(CORE + "identity/certificates.py", "ServiceAccounts.principal", _KEYS),
    Target(CORE + "identity/certificates.py", "_account", _KEYS),
    Target(CORE + "identity/registered.py", "_REQUIRED", _KEYS, (elements,)),
    Target(CORE + "identity/jwt.py", "JwtVerifier", _JWT, (*CHECKS, keywords)),
    Target(CORE + "identity/registered.py", "check_registered", _KEYS, (*CHECKS, elements)),
    Target(CORE + "identity/registered.py", "_seconds", _KEYS),
    Target(CORE + "identity/registered.py", "decoded", _KEYS),
    Target(CORE + "identity/jwt.py", "_signed", _JWT),
    Target(CORE + "identity/jwt.py", "_der_integer", _JWT),
    Target(CORE + "identity/authenticator.py", "Authenticator", _KEYS),
    # What is taken down.
    Target(CORE + "rpc/audited.py", "Audited.opening", _AUDIT),
    Target(CORE + "rpc/audited.py", "Audited.around", _AUDIT, (*CHECKS, statements)),
    Target(CORE + "rpc/audited.py", "Audited._ended", _AUDIT, (*CHECKS, statements)),
    Target(CORE + "rpc/audited.py", "Audited._refused", _AUDIT, (*CHECKS, statements)),
    Target(CORE + "rpc/audited.py", "Audited._tenant_of_key", _AUDIT),
    Target(CORE + "rpc/audited.py", "_group", _AUDIT, (operands, choices)),
    Target(CORE + "audit/log.py", "AuditLog.take_alike", _TAKEN, (*CHECKS, statements)),
    Target(CORE + "audit/log.py", "Group.trusted", _TAKEN),
    # How much.
    Target(CORE + "rpc/chain.py", "_home", ("tests/unit/core/rpc/test_charged_tenant.py",), (*CHECKS, choices)),
    Target(CORE + "limits/budget.py", "Budget.take", _LIMITS),
    Target(CORE + "limits/budget.py", "Budget._enough", _LIMITS),
    Target(CORE + "limits/budget.py", "Budget.made_of", _LIMITS),
    Target(CORE + "limits/budget.py", "Budget._spared", _LIMITS),
    Target(CORE + "limits/budget.py", "Budget._lacking", _LIMITS),
    Target(CORE + "limits/kinds.py", "KINDS", _LIMITS, (elements,)),
    Target(CORE + "limits/kinds.py", "_BY_NAME", _LIMITS, (elements,)),
    Target(CORE + "limits/kinds.py", "kind_of", _LIMITS),
    Target(CORE + "limits/quota.py", "Quota._of", _LIMITS, (*CHECKS, statements)),
    Target(CORE + "usage/recent.py", "Recent.add", (*_LIMITS, "tests/unit/core/usage")),
    Target(CORE + "rpc/searching.py", "Searching.ask", _SEARCHING, (*CHECKS, statements, keywords)),
    Target(CORE + "rpc/searching.py", "Searching.charge", _SEARCHING, (*CHECKS, statements, keywords)),
    Target(CORE + "identity/lookups.py", "KeyLookups.find", _KEYS, (*CHECKS, statements)),
    Target(CORE + "limits/limiter.py", "Limiter.budget", _LIMITS),
    Target(CORE + "limits/limiter.py", "Limiter._refill", _LIMITS, (*CHECKS, statements)),
    Target(CORE + "limits/holdings.py", "Home.heard", _LIMITS, (*CHECKS, statements)),
    Target(CORE + "limits/limiter.py", "Limiter._made", _LIMITS, (*CHECKS, statements)),
    Target(CORE + "rpc/chain.py", "build.take", _AUTHORIZE, (statements,)),
    Target(CORE + "rpc/chain.py", "build.wait_and_take", _AUTHORIZE, (*CHECKS, statements)),
)

# Mutants that change nothing that anybody could notice, each with the reason.
EQUAL: dict[str, str] = {
    "cache_key: without tenant_uid": "the key has the tenant in the clear as well",
    "_key: without deterministic=True": "it only makes a hit likelier",
    "narrowed_blindly: without or not principal.filter": "without a filter there is nothing to be blind",
    "narrowed_blindly: narrowed_blindly always says yes": "without a filter or classes there is nothing to be blind to",
    "parse: without or payload is None": "what isn't base64url isn't JSON either",
    "SeenCredentials._stands: without and self._verifier is not None": "only a verifier has seen a JWT",
    "Limiter._made: without and principal is not None": "nobody has no limits of their own",
    "class_of: without the check: not classes": "no path is found among no classes",
    "mask_document: without and document.tags": "no tags are no tags, masked or not",
    "JwtVerifier: without and signature is not None": "no signature is nobody's signature",
    "JwtVerifier: without and payload is not None": "no payload isn't JSON either",
    "JwtVerifier: without the check: key := self._keys.get((key_id, algorithm))": "the same key is made once more",
    'JwtVerifier: without name="jwks-refresh"': "a name for whoever looks at tasks",
    "Authenticator: without and bool(kept)": "an empty digest is of no secret",
    "Authenticator: without and bool(record.previous_public_key)": "an empty key has signed nothing",
    '_update: without and request.HasField("document")': "without a document its name isn't one",
    "_Wire.on_message_complete: without and answer is not None": "what fails where nobody waits closes what is closed",
    "_Wire.on_message_complete: without and not answer.done()": "the caller who left is about to close it",
    'names_personal_data: without the check: not classes or ":" not in query': "nothing is classed or named then",
    "names_personal_data: without or not classes": "nothing is classed then",
    'names_personal_data: without or ":" not in query': "nothing is named then",
    "KeyLookups.find: without self._absent.move_to_end(key_id)": "which one is forgotten first is another",
    "Budget.take: without the check: self._enough(rooms, now)": "the same is found by the longer way",
    "Home.heard: without and not self.asking.done()": "what is done isn't waited for long",
    "SearchIds.read: without or raw[:1] != _FORMAT": "the format is signed with the rest",
}


def mutants(root: Path, only: Sequence[str] = ("",)) -> Iterator[tuple[Target, Mutant]]:
    """Yield the mutants of the tree at `root`, with their targets; `only` are parts of their lines, one of which is in it."""
    for target in TARGETS:
        for mutant in target.mutants(root):
            if f"{target.name}: {mutant.what}" not in EQUAL and any(part in f"{mutant} {target.name}" for part in only):
                yield target, mutant
