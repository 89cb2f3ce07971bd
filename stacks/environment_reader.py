"""From the context's JSON to an `Environment`: every key and every type is checked."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_cdk import RemovalPolicy

from stacks.environments import DEV, PROD, Environment, Network


def read_environment(name: str, environments: object) -> Environment:
    """The environment of that name, with what `cdk.json` says about it.

    A name beside dev and prod is an environment like dev.

    Args:
        name: as in `-c environment=…`.
        environments: the context value `environments`; None leaves every environment as it is
            in `environments.py`.

    Raises:
        ValueError: there is no such environment, it has no such field, or a value of another type.
    """
    if environments is None:  # run without the CLI, which is what reads cdk.json
        environments = {DEV.name: {}, PROD.name: {}}
    known = environments if isinstance(environments, Mapping) else {}
    overrides = known.get(name)
    if not isinstance(overrides, Mapping):
        raise ValueError(  # noqa: TRY004 - the value is wrong: a name nobody has written down
            f"environment is {name!r}; cdk.json knows {', '.join(known) or 'none'}. Pass one of "
            "them with -c environment=…, or add it to the context value 'environments' there."
        )
    base = PROD if name == PROD.name else dataclasses.replace(DEV, name=name)
    values = {
        field: _read(f"{name}.{field}", field, value, _READERS)
        for field, value in overrides.items()
    }
    return dataclasses.replace(base, **values)


def _read(path: str, field: str, value: object, readers: "Mapping[str, _Reader]") -> Any:
    if field not in readers:
        raise ValueError(f"environments.{path} is unknown; allowed is {', '.join(readers)}.")
    allowed, reader = readers[field]
    try:
        return reader(value)
    except (KeyError, TypeError) as error:
        raise ValueError(f"environments.{path} is {value!r}; allowed is {allowed}.") from error


def _instance_of(*types: type) -> Callable[[object], object]:
    def read(value: object) -> object:
        if type(value) not in types:
            raise TypeError
        return value

    return read


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError
    return tuple(value)


def _removal_policy(value: object) -> RemovalPolicy:
    return _REMOVAL_POLICIES[str(value)]


def _network(value: object) -> Network | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError
    return Network(
        **{
            field: _read(f"network.{field}", field, item, _NETWORK_READERS)
            for field, item in value.items()
        }
    )


_Reader = tuple[str, Callable[[object], object]]
_REMOVAL_POLICIES: Final = {
    "destroy": RemovalPolicy.DESTROY,
    "retain": RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
}
_TEXT: Final[_Reader] = ("a text", _instance_of(str))
_TEXT_OR_NULL: Final[_Reader] = ("a text or null", _instance_of(str, type(None)))
_TEXTS: Final[_Reader] = ("a list of texts", _texts)
_FLAG: Final[_Reader] = ("true or false", _instance_of(bool))

_NETWORK_READERS: Final[Mapping[str, _Reader]] = {
    "vpc_id": _TEXT,
    "availability_zones": _TEXTS,
    "subnet_ids": _TEXTS,
    "security_group_ids": _TEXTS,
}
_READERS: Final[Mapping[str, _Reader]] = {
    "livemode": _FLAG,
    "account": _TEXT_OR_NULL,
    "region": _TEXT_OR_NULL,
    "resource_prefix": _TEXT_OR_NULL,
    "event_source_name": _TEXT_OR_NULL,
    "database_secret_arn": _TEXT_OR_NULL,
    "stripe_secret_arn": _TEXT_OR_NULL,
    "secrets_key_arn": _TEXT_OR_NULL,
    "alarm_emails": _TEXTS,
    "runbook_url": _TEXT_OR_NULL,
    "database_tls": _FLAG,
    "network": ("null, or vpc_id, availability_zones and subnet_ids", _network),
    "reserved_concurrency": ("a whole number or null", _instance_of(int, type(None))),
    "access_logs": _FLAG,
    "removal_policy": (" or ".join(_REMOVAL_POLICIES), _removal_policy),
}
