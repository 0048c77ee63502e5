# SPDX-License-Identifier: Apache-2.0
"""Settings of the servers: every `PINAKES_*` variable, typed and checked before a port opens."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "PINAKES_"
CommaList = Annotated[list[str], NoDecode]


class Limits(BaseSettings):
    """Limits of requests and documents. Every error that one of these causes names the limit."""

    model_config = SettingsConfigDict(env_prefix="PINAKES_LIMIT_", frozen=True)

    query_chars: int = Field(500, ge=1, description="Characters in a search's query.")
    query_clauses: int = Field(32, ge=1, le=256, description="Words and phrases in a search's query.")
    query_prefixes: int = Field(8, ge=0, le=32, description="Words with a star at their end in a search's query.")
    filter_chars: int = Field(2000, ge=1, description="Characters in a filter.")
    filter_terms: int = Field(64, ge=1, le=512, description="Comparisons in a filter.")
    filter_depth: int = Field(8, ge=1, le=32, description="Nesting of a filter.")
    page_default: int = Field(10, ge=1, description="Results on a page when a request doesn't say.")
    page_max: int = Field(50, ge=1, le=1000, description="Results on a page at most.")
    search_seconds: float = Field(5.0, gt=0, description="Time the engine has for one search.")
    facets: int = Field(20, ge=1, le=100, description="Facets of a search.")
    facet_values: int = Field(100, ge=1, le=100, description="Values of a facet.")
    document_bytes: int = Field(1 << 20, ge=1024, description="Size of a document.")
    attributes: int = Field(256, ge=1, description="Attributes of a document, nested ones counted.")
    attribute_depth: int = Field(4, ge=1, le=16, description="Nesting of a document's attributes.")
    batch_documents: int = Field(1000, ge=1, description="Writes in a batch.")
    batch_bytes: int = Field(8 << 20, ge=1 << 20, description="Size of a batch.")
    stream_documents: int = Field(1000, ge=1, description="Writes in a message of a stream.")
    stream_bytes: int = Field(4 << 20, ge=1 << 20, description="Size of a message of a stream.")
    collections: int = Field(100, ge=1, description="Collections of a tenant.")
    search_settings_bytes: int = Field(256 << 10, ge=1024, description="Size of a collection's search settings.")
    operations: int = Field(100, ge=1, description="Unfinished operations of a tenant.")


class Settings(BaseSettings):
    """Settings of one server process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    environment: str = Field("development", description="Name of the deployment, told in every log line.")
    listen: str = Field("127.0.0.1:7301", description="Address of the gRPC port, host:port.")
    metrics_listen: str = Field("", description="Address of the Prometheus endpoint, host:port; empty for none.")
    processes: int = Field(1, ge=1, le=64, description="Server processes that share the port (SO_REUSEPORT).")
    drain_seconds: float = Field(20.0, ge=0, le=600, description="Time in-flight calls have to finish on SIGTERM.")
    gzip_over_bytes: int = Field(
        64 << 10, ge=0, description="Answers longer than this are gzipped for callers who accept it; 0 never."
    )
    max_message_bytes: int = Field(16 << 20, ge=1 << 20, description="Largest message on the wire.")
    default_deadline_seconds: float = Field(30.0, gt=0, description="Deadline of calls that come without one.")
    stream_window: int = Field(8, ge=1, le=256, description="Messages of a stream that may be under way at once.")
    stream_idle_seconds: float = Field(60.0, gt=0, description="Time after which a stream that sends nothing is ended.")
    stream_seconds: float = Field(
        1800.0,
        gt=0,
        description="Time after which a stream is asked to go on as another, so that new servers get some.",
    )

    tls_cert_file: Path | None = Field(None, description="Certificate chain of the server, PEM; unset means no TLS.")
    tls_key_file: Path | None = Field(None, description="Private key of the server, PEM.")
    tls_client_ca_file: Path | None = Field(None, description="CA that client certificates must be of; turns on mTLS.")

    opensearch_urls: CommaList = Field(["http://127.0.0.1:9200"], description="Nodes, comma-separated.")
    opensearch_username: str = Field("", description="User name for the engine; empty for none.")
    opensearch_password: SecretStr = Field(SecretStr(""), description="Password for the engine.")
    opensearch_ca_file: Path | None = Field(None, description="CA of the engine's certificate, PEM.")
    engine_connections: int = Field(
        32, ge=1, le=1024, description="Connections a process keeps to the engine; eight more are for records."
    )
    engine_timeout_seconds: float = Field(10.0, gt=0, description="Longest time for one call of the engine.")
    index_prefix: str = Field("pinakes", pattern=r"^[a-z][a-z0-9-]{0,30}$", description="How index names begin.")
    pool_shards: int = Field(1, ge=1, le=64, description="Shards of a new pool index.")
    replicas: int = Field(0, ge=0, le=5, description="Copies of each shard besides the primary.")
    max_clock_skew_seconds: float = Field(5.0, gt=0, description="Clock difference to the engine that stops writing.")

    cache_url: str = Field("", description="Redis of the cache, redis://host:port/db; empty for no cache.")
    cache_seconds: float = Field(1.0, ge=0, le=1.0, description="Lifetime of a cached answer; 0 turns the cache off.")

    queue_url: str = Field(
        "", description="Redis of the write queue, redis://host:port/db; empty for no ACCEPTED writes."
    )
    queue_partitions: int = Field(16, ge=1, le=1024, description="Partitions of the queue; the same in every process.")
    queue_tenant_partitions: int = Field(2, ge=1, le=64, description="Partitions that one tenant's writes go to.")
    queue_share: float = Field(0.6, gt=0, le=0.9, description="Part of the queue's memory that may be full.")
    queue_tenant_share: float = Field(0.1, gt=0, le=0.9, description="Part of the queue's memory one tenant may fill.")
    queue_max_age_seconds: float = Field(
        3600.0, ge=1, description="Age of a tenant's oldest queued write from which on no more are accepted."
    )
    queue_wait_replicas: int = Field(0, ge=0, le=5, description="Copies of the queue that must have an accepted write.")
    queue_lease_seconds: float = Field(
        10.0, ge=1, le=300, description="Time after which a silent worker's work is taken."
    )

    worker_bulk_bytes: int = Field(1 << 20, ge=1 << 16, description="Bytes a worker sends to the engine at once.")
    worker_bulk_documents: int = Field(500, ge=1, description="Documents a worker sends to the engine at once.")
    worker_bulk_seconds: float = Field(0.02, ge=0, le=5, description="Time a worker waits for more before it sends.")
    tombstone_days: float = Field(
        7.0, ge=1, description="Days in which deletions can be undone and failed writes retried; kept so long."
    )
    operation_days: float = Field(7.0, ge=1, description="Days for which finished operations are kept.")
    operations_at_once: int = Field(4, ge=0, le=256, description="Operations a worker does at once; 0 for none.")
    loading_refresh_seconds: int = Field(
        30, ge=0, le=60, description="Refresh interval of a tenant's own index while an import loads it; 0 leaves it."
    )
    operation_lease_seconds: float = Field(
        15.0, ge=1, le=600, description="Time after which the operations of a silent worker are taken over."
    )
    undelete_days: float = Field(
        30.0, gt=0, description="Days in which a deleted tenant can be undeleted; then all that is its is removed."
    )
    journal_days: float = Field(
        400.0, ge=1, description="Days for which deletions can be replayed; longer than the oldest snapshot is kept."
    )
    placement_lease_seconds: float = Field(
        5.0,
        ge=0.25,
        le=60,
        description="Time for which a process goes by what it knows of where documents are; a move waits for it.",
    )
    rollback_window_seconds: float = Field(
        900.0, ge=0, le=604_800, description="Time for which a tenant's former index is kept up to date after a move."
    )
    move_documents_per_second: int = Field(
        5000, ge=0, description="Documents of a tenant that are copied a second when it is moved; 0 for no limit."
    )
    moves_at_once: int = Field(8, ge=0, le=256, description="Moves of tenants a worker does at once; 0 for none.")
    sweep_seconds: float = Field(30.0, gt=0, le=3600, description="Time between two sweeps for what has run out.")
    outcome_hours: float = Field(48.0, ge=24, description="Hours for which outcomes and request ids are remembered.")

    placement: Literal["plan", "auto", "off"] = Field(
        "plan",
        description="Automatic placement: `plan` says what it would move, `auto` moves it and opens pools, `off` neither.",
    )
    placement_seconds: float = Field(
        300.0, ge=1, le=86_400, description="Time between two looks at the sizes of tenants and pools, by one worker."
    )
    placement_dedicated_documents: int = Field(
        10_000_000, ge=1, description="Documents from which on a tenant gets an index of its own."
    )
    placement_dedicated_bytes: int = Field(
        20 << 30, ge=1, description="Bytes on disk from which on a tenant gets an index of its own."
    )
    placement_shard_bytes: int = Field(40 << 30, ge=1, description="Bytes on disk that a shard of a pool may have.")
    placement_pool_documents: int = Field(
        50_000_000, ge=1, description="Documents that fill a pool, for each of its shards."
    )
    placement_pool_tenants: int = Field(20_000, ge=1, description="Tenants that fill a pool.")
    placement_fill: float = Field(
        0.8, gt=0, lt=1, description="Part of a pool up to which it takes tenants; a full one is brought down to it."
    )
    placement_return: float = Field(
        0.5, ge=0, lt=1, description="Part of what gave a tenant its own index below which it comes back to a pool."
    )
    placement_noise: float = Field(
        0.5, gt=0, le=1, description="Part of its pool's work, searches or writes, that is too much for one tenant."
    )
    placement_noise_looks: int = Field(
        3, ge=1, le=1000, description="Looks in a row at which a tenant makes too much work before it is moved."
    )
    placement_noise_work: float = Field(
        50.0, gt=0, description="Searches or writes a second of a pool below which none of its tenants makes too much."
    )
    placement_cooldown_seconds: float = Field(
        86_400.0, ge=0, description="Time for which a tenant isn't moved again by itself after a move."
    )
    placement_moves: int = Field(2, ge=1, le=64, description="Moves that go on at once at most for more to be begun.")

    vocabulary_seconds: float = Field(
        60.0,
        ge=1,
        le=3600,
        description="Time for which a search process keeps how rare words are; less in small collections.",
    )

    insights: Literal["on", "asked", "off"] = Field(
        "on",
        description="Whether queries are kept for insights: `on` unless a collection says no, only where one `asked`, `off`.",
    )
    insight_days: float = Field(30.0, ge=1, description="Days for which insights are kept; a day longer at most.")
    insight_queries_per_second: float = Field(
        20.0, gt=0, le=10_000, description="Different queries of a tenant a second that a process keeps insights of."
    )
    insight_flush_seconds: float = Field(
        10.0, gt=0, le=20, description="Time for which insights are gathered before they are written."
    )

    usage_days: float = Field(400.0, ge=31, description="Days for which usage is kept; a month longer at most.")
    usage_flush_seconds: float = Field(
        10.0,
        gt=0,
        le=60,
        description="Time for which usage is gathered before it is written; lost if a process is killed.",
    )
    usage_count_seconds: float = Field(
        300.0, ge=1, le=86_400, description="Time between two counts of every tenant's documents and bytes by a worker."
    )

    audit_days: float = Field(365.0, ge=90, description="Days for which the audit log is kept; a month longer at most.")
    audit_secret: SecretStr | None = Field(
        None, description="Key of the audit log's chain, 32 characters or more; unset means that of PINAKES_SECRET_KEY."
    )

    import_folder: Path | None = Field(
        None, description="Folder that `file:///name` of imports is in, below the tenant's id; unset for none."
    )
    export_folder: Path | None = Field(
        None, description="Folder that `file:///name` of exports is in, below the tenant's id; unset for none."
    )
    s3_endpoint: str = Field("", description="Object storage, https://host; empty for the region's own of AWS.")
    s3_region: str = Field("us-east-1", description="Region of the object storage.")
    s3_access_key: str = Field("", description="Access key of the object storage; empty for the machine's own role.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="Secret of the access key.")
    s3_path_style: bool = Field(True, description="Whether the bucket is in the path of a URL, or in its host.")
    s3_buckets: CommaList = Field(
        [], description="Buckets that imports and exports may use, comma-separated; keys begin with the tenant's id."
    )

    secret_key: SecretStr = Field(..., description="Key of etags, page tokens and key hashes, 32 characters or more.")
    receipt_key: SecretStr | None = Field(
        None,
        description="Seed of the Ed25519 key that signs receipts of erasures, 43 characters of base64url; unset: derived from "
        "the secret key.",
    )
    bootstrap_admin_key: SecretStr | None = Field(
        None, description="API key of the first administrator, pk_bootstrap_ and 43 characters of base64url."
    )
    key_peppers: SecretStr = Field(
        SecretStr(""),
        description="Server keys that API keys are hashed with, comma-separated, 32 characters or more each: the first "
        "hashes, all verify. Unset: the secret key.",
    )
    jwt_issuer: str = Field("", description="`iss` of accepted tokens, an address; empty turns JWT off.")
    jwt_audience: str = Field("", description="`aud` of accepted tokens; there is no JWT without it.")
    jwt_jwks_url: str = Field(
        "",
        description="Where the issuer publishes its keys; unset: where its `/.well-known/openid-configuration` says.",
    )
    jwt_algorithms: CommaList = Field(["RS256", "ES256", "EdDSA"], description="Accepted algorithms.")
    jwt_clock_skew_seconds: float = Field(
        30.0, ge=0, le=300, description="Difference of clocks that times in tokens may be off by."
    )
    jwt_tenant_claim: str = Field(
        "tenant_id", description="Claim that names the tenant; here and below, dots lead into nested claims."
    )
    jwt_role_claim: str = Field(
        "role", description="Claim with a role, or with a list of which the strongest counts, as `realm_access.roles`."
    )
    jwt_roles: CommaList = Field(
        [], description="What the issuer's roles are here, THEIRS=OURS each; unset: the same, but nobody is `admin`."
    )
    jwt_groups_claim: str = Field("groups", description="Claim with groups: a caller reads as `group:NAME` of each.")
    jwt_readers_claim: str = Field("readers", description="Claim with further names that a caller reads documents as.")
    service_accounts: CommaList = Field(
        [],
        description="What client certificates are, by their SPIFFE ids: spiffe://…=ROLE@TENANT, several tenants of a "
        "service joined by +, no @ for `admin`. TENANT:UID binds it to that very tenant, not to a later one of its id. "
        "Needs a client CA.",
    )
    trusted_proxies: CommaList = Field(
        [],
        description="SPIFFE ids of proxies whose `x-forwarded-client-cert` is believed, given a client CA; nobody else's is.",
    )
    identity_hold_seconds: float = Field(
        3600.0, ge=60, description="How long known identities serve without the engine."
    )

    rate_limit: float = Field(1000.0, gt=0, description="Requests a second of a tenant that has no limit of its own.")
    rate_burst: float = Field(
        0.0, ge=0, description="Requests that such a tenant may save up and send at once; 0 for those of a second."
    )
    concurrent_requests: int = Field(
        0, ge=0, description="Requests of a tenant under way at once, unless it has a limit of its own; 0 for no limit."
    )
    search_cost_per_second: float = Field(
        0.0, ge=0, description="Cost of a tenant's searches a second, unless it has a limit of its own; 0 for no limit."
    )
    documents_per_second: float = Field(
        0.0,
        ge=0,
        description="Documents a second that a tenant may send, unless it has a limit of its own; 0 for none.",
    )
    bytes_per_second: float = Field(
        0.0, ge=0, description="Bytes of documents a second, unless a tenant has a limit of its own; 0 for no limit."
    )
    tenant_documents: int = Field(
        0, ge=0, description="Documents a tenant may hold, unless it has a limit of its own; 0 for no limit."
    )
    tenant_bytes: int = Field(
        0, ge=0, description="Bytes of documents a tenant may hold, unless it has a limit of its own; 0 for no limit."
    )
    tenant_keys: int = Field(
        1000, ge=1, description="API keys of a tenant that has no limit of its own; revoked ones don't count."
    )
    limits_dry_run: bool = Field(
        False,
        description="Whether tenants beyond their limits are only counted and logged, unless theirs say otherwise. Limits of "
        "keys and scoped tokens refuse all the same.",
    )
    limits_processes: int = Field(
        0,
        ge=0,
        description="Processes among which a tenant's calls are spread, for limits while the cache's Redis is away or there is "
        "none: each allows one part in so many. 0 for unknown: each allows half while Redis is away, and all without one.",
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    tracing_endpoint: str = Field(
        "", description="OTLP/HTTP endpoint of traces, http://host:4318/v1/traces; empty for none."
    )
    tracing_ratio: float = Field(0.1, ge=0, le=1, description="Part of the traces that is kept.")

    limits: Limits = Field(default_factory=Limits)

    @property
    def key_pepper_list(self) -> list[str]:
        """The peppers, newest first; empty if there are none."""
        return [part.strip() for part in self.key_peppers.get_secret_value().split(",") if part.strip()]

    @field_validator(
        "opensearch_urls",
        "jwt_algorithms",
        "jwt_roles",
        "service_accounts",
        "trusted_proxies",
        "s3_buckets",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """Take comma-separated text for a list."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("listen", "metrics_listen")
    @classmethod
    def _address(cls, value: str) -> str:
        """Refuse what isn't host:port."""
        host, _, port = value.rpartition(":")
        if value and not (host and port.isdigit() and int(port) < 1 << 16):
            message = f"{value!r} isn't host:port, such as 127.0.0.1:7301"
            raise ValueError(message)
        return value

    @field_validator("s3_endpoint")
    @classmethod
    def _web_address(cls, value: str) -> str:
        """Refuse what isn't the address of a server."""
        if value and not re.fullmatch(r"https?://[^/\s]+/?", value):
            message = f"{value!r} isn't https://host or http://host:port"
            raise ValueError(message)
        return value.rstrip("/")

    @field_validator("secret_key", "audit_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse a key that could be guessed."""
        if value is not None and len(value.get_secret_value()) < 32:
            message = "must have 32 characters or more"
            raise ValueError(message)
        return value

    @field_validator("receipt_key")
    @classmethod
    def _seed(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse what isn't 32 bytes of base64url."""
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_-]{43}", value.get_secret_value()):
            message = "must be 32 random bytes as 43 characters of base64url"
            raise ValueError(message)
        return value

    @field_validator("key_peppers")
    @classmethod
    def _long_peppers(cls, value: SecretStr) -> SecretStr:
        """Refuse peppers that could be guessed."""
        if any(len(part.strip()) < 32 for part in value.get_secret_value().split(",") if part.strip()):
            message = "each must have 32 characters or more"
            raise ValueError(message)
        return value

    @field_validator("jwt_algorithms")
    @classmethod
    def _asymmetric(cls, value: list[str]) -> list[str]:
        """Refuse algorithms whose verification key could sign."""
        known = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
        if unknown := [name for name in value if name not in known]:
            message = f"{', '.join(unknown)} can't be allowed; known: {', '.join(sorted(known))}"
            raise ValueError(message)
        return value

    @property
    def audit_key(self) -> bytes:
        """The secret that the audit log's chain is made with."""
        return (self.audit_secret or self.secret_key).get_secret_value().encode()

    @model_validator(mode="after")
    def _together(self) -> Settings:
        """Refuse settings that make no sense without each other."""
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            message = "PINAKES_TLS_CERT_FILE and PINAKES_TLS_KEY_FILE go together"
            raise ValueError(message)
        if self.tls_client_ca_file and not self.tls_cert_file:
            message = "PINAKES_TLS_CLIENT_CA_FILE needs PINAKES_TLS_CERT_FILE"
            raise ValueError(message)
        if self.jwt_issuer and not self.jwt_audience:
            message = "PINAKES_JWT_ISSUER needs PINAKES_JWT_AUDIENCE, or tokens for others would be accepted"
            raise ValueError(message)
        if self.jwt_issuer and not self.jwt_jwks_url and not re.match(r"https?://[^/\s]", self.jwt_issuer):
            message = "PINAKES_JWT_ISSUER isn't an address where keys could be found; set PINAKES_JWT_JWKS_URL"
            raise ValueError(message)
        if (self.service_accounts or self.trusted_proxies) and not self.tls_client_ca_file:
            message = "PINAKES_SERVICE_ACCOUNTS and PINAKES_TRUSTED_PROXIES need PINAKES_TLS_CLIENT_CA_FILE"
            raise ValueError(message)
        if bool(self.s3_access_key) != bool(self.s3_secret_key.get_secret_value()):
            message = "PINAKES_S3_ACCESS_KEY and PINAKES_S3_SECRET_KEY go together"
            raise ValueError(message)
        for variable in ("import_folder", "export_folder"):
            folder: Path | None = getattr(self, variable)
            if folder and not folder.is_dir():
                message = f"{PREFIX}{variable.upper()}: there is no folder {folder}"
                raise ValueError(message)
        for variable in ("tls_cert_file", "tls_key_file", "tls_client_ca_file", "opensearch_ca_file"):
            path: Path | None = getattr(self, variable)
            if path and not path.is_file():
                message = f"{PREFIX}{variable.upper()}: there is no file {path}"
                raise ValueError(message)
        return self


def load() -> Settings:
    """Read the settings from the environment, or stop the process with the name of what is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        for fault in error.errors():
            prefix = "PINAKES_LIMIT_" if error.title == "Limits" else PREFIX
            name = prefix + "_".join(str(part) for part in fault["loc"]).upper() if fault["loc"] else "settings"
            sys.stderr.write(f"pinakes: {name}: {fault['msg'].removeprefix('Value error, ')}\n")
        raise SystemExit(78) from None
