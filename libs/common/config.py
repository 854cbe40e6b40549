"""Settings from `CHAT_*` environment variables, read once, typed (DESIGN.md, section 8)."""

import sys
from socket import gethostname
from typing import Final, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.common.domain import partition


class RoleSettings(BaseSettings):
    """What every role knows. A field `x_y` is the variable CHAT_X_Y."""

    model_config = SettingsConfigDict(env_prefix="CHAT_", extra="ignore", frozen=True)

    env: Literal["development", "production"] = "production"
    instance: str = Field(default_factory=gethostname, min_length=1)
    """This replica's name in logs and in the list of members; unique within its role."""
    amqp_url: str = Field(pattern="^amqps?://")
    redis_url: str = Field(pattern=r"^((rediss?|unix)://|redis\+sentinel://[^/]+/[^/]+)")
    partitions: int = Field(4, ge=1, le=partition.MOST)
    """Fixed for a deployment; the same for all roles."""
    listen_host: str = "127.0.0.1"
    admin_port: int = Field(9090, ge=1, le=65535)
    """/livez, /readyz, /metrics and /trace."""
    trace_mib: int = Field(8, ge=0)
    """Memory for the AMQP messages that have passed lately, which /trace looks through."""
    otlp_endpoint: str | None = Field(None, pattern="^https?://.*[^/]$")
    """Base URL of an OpenTelemetry collector (OTLP over HTTP). None: nothing is traced."""
    trace_sampling: float = Field(0.01, ge=0, le=1)
    """Which part of the messages is traced; the same for all roles."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


DEVELOPMENT_SECRET: Final = "for development only: everybody knows this key"  # noqa: S105
"""What tokens are signed with where no other key is set and CHAT_ENV is development."""

_SECRET_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
_PUBLIC_ALGORITHMS: Final = ("RS256", "ES256", "EdDSA", "PS256", "RS384", "RS512", "ES384", "ES512")
_USUAL_PUBLIC: Final = ("RS256", "ES256", "EdDSA")


_ORIGIN: Final = r"https?://[^\s,/*]+"
_ORIGINS: Final = rf"^(\*|{_ORIGIN}(\s*,\s*{_ORIGIN})*)?$"


class TokenSettings(RoleSettings):
    """Of the roles that let callers in: whose tokens, by which key; which web pages."""

    allowed_origins: str = Field("", pattern=_ORIGINS)
    """Web origins that may call and connect besides the service's own, separated by commas; `*`
    for any."""

    jwt_secret: str | None = Field(None, min_length=32)
    """HS256 wants a key of at least 32 bytes (RFC 7518, section 3.2)."""
    jwks_url: str | None = Field(None, pattern=r"^https?://\S+$")
    """Where the issuer lists its public keys, in place of a secret; https in production."""
    jwt_algorithms: str = Field("", pattern=r"^(\w+(,\w+)*)?$")
    """Separated by commas. Empty: HS256 by a secret; RS256, ES256 and EdDSA by public keys."""
    jwt_issuer: str | None = Field(None, min_length=1)
    """What `iss` must be."""
    jwt_audience: str | None = Field(None, min_length=1)
    """What must be among `aud`."""
    jwt_leeway_s: int = Field(5, ge=0, le=60)
    """By so much the issuer's clock may differ from ours."""
    token_max_age_s: int = Field(86_400, ge=60, le=30 * 86_400)
    """A token that would last longer is refused: revocations are remembered for so long."""

    @model_validator(mode="after")
    def _one_kind_of_key(self) -> Self:
        is_production = self.env == "production"
        if self.jwt_secret is not None and self.jwks_url is not None:
            raise ValueError("set CHAT_JWT_SECRET or CHAT_JWKS_URL, not both")
        if is_production and self.secret == DEVELOPMENT_SECRET:
            raise ValueError(
                "production needs CHAT_JWKS_URL or a CHAT_JWT_SECRET that nobody knows "
                "(CHAT_ENV=development does without)"
            )
        if is_production and (self.jwks_url or "").startswith("http:"):
            raise ValueError("in production CHAT_JWKS_URL must be https: who answers it lets in")
        possible = _SECRET_ALGORITHMS if self.jwks_url is None else _PUBLIC_ALGORITHMS
        if wrong := [name for name in self.algorithms if name not in possible]:
            raise ValueError(
                f"CHAT_JWT_ALGORITHMS: {', '.join(wrong)} can't be used with "
                f"{'a secret' if self.jwks_url is None else 'public keys'}; "
                f"possible: {', '.join(possible)}"
            )
        return self

    @property
    def origins(self) -> tuple[str, ...]:
        """`allowed_origins`, one by one, in the browsers' spelling."""
        every = self.allowed_origins.lower().split(",")
        return tuple(origin.strip() for origin in every if origin.strip())

    @property
    def revocations_kept_s(self) -> int:
        """Until nothing that was issued before a revocation can be valid, at both ends' leeway."""
        return self.token_max_age_s + 2 * self.jwt_leeway_s

    @property
    def secret(self) -> str | None:
        """None: public keys are used."""
        if self.jwks_url is not None:
            return None
        return DEVELOPMENT_SECRET if self.jwt_secret is None else self.jwt_secret

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Those that are accepted."""
        if self.jwt_algorithms:
            return tuple(self.jwt_algorithms.split(","))
        return _SECRET_ALGORITHMS[:1] if self.jwks_url is None else _USUAL_PUBLIC


Settings = TypeVar("Settings", bound=BaseSettings)


def load(settings: type[Settings]) -> Settings:
    """The settings, or exit code 78 (EX_CONFIG) with a line for every wrong or missing one."""
    try:
        return settings()
    except ValidationError as error:
        lines = ["This role can't start: these environment variables are wrong or missing."]
        for problem in error.errors():
            name = "CHAT_" + "_".join(str(part) for part in problem["loc"]).upper()
            of_all = problem["msg"].removeprefix("Value error, ")
            lines.append(f"  {name}: {problem['msg']}" if problem["loc"] else f"  {of_all}")
        sys.stderr.write("\n".join(lines) + "\n")
        raise SystemExit(78) from None
