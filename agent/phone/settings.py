"""Settings of the telephone. Times in seconds."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Transfer(BaseModel):
    """Somebody that a call can be passed on to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: str = Field(repr=False, min_length=2)
    """A number as in +4930123456, or a SIP address."""
    warm: bool = False
    """Whether they are asked first, with the caller on hold."""


class PhoneSettings(BaseSettings):
    """What calls may do, and how long."""

    model_config = SettingsConfigDict(env_prefix="AGENT_PHONE_", env_file=".env", extra="ignore")

    room_prefix: str = Field("phone-", min_length=1)
    """Rooms named like this hold a telephone call; `phone setup` makes its dispatch rule so."""
    max_calls: int = Field(0, ge=0, le=1000)
    """Calls at once on this machine; the next one hears `busy`. 0: no limit of its own."""
    busy: str = "All our lines are busy right now. Please call again in a few minutes. Goodbye."
    lines_path: Path = Path(".parley/lines")
    """Folder through which the processes of this machine count calls."""

    allow: str = Field("", repr=False)
    """Numbers that may be called or transferred to, comma-separated: +4930123456, +4930*, 2*,
    sip:200@pbx.example. Empty: none. Premium and emergency numbers are refused in any case."""
    trunk: str = "parley-outbound"
    """Name or id of the trunk for calls that go out."""
    ring_s: float = Field(30.0, ge=1, le=80)
    """How long somebody who is called may take to answer."""
    transfers: dict[str, Transfer] = Field(default_factory=dict)
    """Whom callers can be passed on to, as JSON: {"support": {"to": "+4930123456"}}."""
    accept_s: float = Field(20.0, ge=1, le=120)
    """Time in which somebody who answered takes a call that is offered to them."""

    menu: dict[str, str] = Field(default_factory=dict)
    """What a key stands for, as JSON: {"1": "Where is my order?"}."""
    pins: dict[str, SecretStr] = Field(default_factory=dict)
    """Customers' PINs by e-mail address, as JSON. With any, a caller orders only after keying one
    in: a caller's number proves nothing."""
    pin_attempts: int = Field(3, ge=1, le=10)
    keys_s: float = Field(15.0, ge=1, le=120)
    """Time for the next key."""

    silence_s: float = Field(15.0, ge=1, le=300)
    """Silence of both sides after which the caller is asked whether they are there."""
    silence_hang_up_s: float = Field(10.0, ge=1, le=300)
    """Silence after that before the agent hangs up."""
    still_there: str = "Are you still there?"
    nobody_there: str = "I cannot hear anyone, so I will hang up now. Goodbye."
    hold_s: float = Field(120.0, ge=1, le=3600)
    """How long a caller who asked for a moment may be away."""
    max_call_s: float = Field(3600.0, ge=1, le=86_400)
    """The longest call."""
    time_is_up: str = "I am sorry, our time is up. Please call again. Goodbye."

    voicemail: str = ""
    """What is said to an answering machine; empty: nothing, the agent hangs up."""
    join_s: float = Field(60.0, ge=1, le=300)
    """How long the agent waits in a room for the line to come in."""
