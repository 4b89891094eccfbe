"""The topics of an installation: made once by an operator's command, compared afterwards, never changed from here."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.kafka.dead_letters import DEAD_MAX_BYTES

TIMEOUT_MS = 10_000
TOPIC_MAX_BYTES = 1_048_576
"""Of one batch. A single message is held to message_max_bytes by whoever reads it."""
_EXISTS: int = TopicAlreadyExistsError.errno
_HOUR_MS = 3_600_000


class BusRefused(Exception):
    """The brokers cannot be asked, or will not do it: one line for whoever runs the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as it should be."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A topic as it is: what was done about it, and every difference from what it should be."""

    name: str
    state: str  # created, exists, missing
    differences: Sequence[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return self.state != "missing" and not self.differences


def wanted(config: KafkaConfig, billers: Collection[str]) -> list[Topic]:
    """Every topic of an installation with these billers."""
    found = []
    for name in config.topics(billers):
        dead = name == config.dead_letter_topic
        hours = config.dead_letter_retention_h if dead else config.retention_h
        settings = {
            "cleanup.policy": "delete",
            # The limit then holds for what we read, not for what a sender compressed it to.
            "compression.type": "uncompressed",
            "max.message.bytes": str(DEAD_MAX_BYTES + 65_536 if dead else TOPIC_MAX_BYTES),
            "min.insync.replicas": str(config.min_insync),
            # By time alone: a size would let messages go that nobody has read yet.
            "retention.bytes": "-1",
            "retention.ms": str(hours * _HOUR_MS),
            "unclean.leader.election.enable": "false",
        }
        found.append(Topic(name=name, partitions=config.partitions, replication=config.replication, settings=settings))
    return found


class Topics:
    """The brokers' administration, for as long as one command takes."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._admin: Any = None

    async def __aenter__(self) -> Self:
        try:
            self._admin = AIOKafkaAdminClient(**self._config.connection("bianmin.bus", timeout_ms=TIMEOUT_MS))
            async with asyncio.timeout(TIMEOUT_MS / 1000):
                await self._admin.start()
        except Exception as wrong:  # boundary: who meets something that is no broker may raise anything
            await self.__aexit__()
            raise BusRefused(f"no broker of {', '.join(self._config.bootstrap)} answers: {wrong}") from wrong
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._admin is not None:
            await self._admin.close()

    async def create(self, topics: Sequence[Topic]) -> list[Finding]:
        """Make those that are missing, compare the others. Raises BusRefused where the brokers refuse one."""
        missing = [found.name for found in await self.compare(topics) if found.state == "missing"]
        new = [
            NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=dict(topic.settings))
            for topic in topics
            if topic.name in missing
        ]
        if new:
            reply = await self._asked(self._admin.create_topics(new, timeout_ms=TIMEOUT_MS))
            for name, code, said in ((each[0], each[1], each[2]) for each in reply.topic_errors):
                if code and code != _EXISTS:
                    raise BusRefused(f"{name} cannot be made: {said or for_code(code).__name__}")
        found = await self._seen(topics, missing)
        return [
            Finding(name=each.name, state="created", differences=each.differences) if each.name in missing else each
            for each in found
        ]

    async def compare(self, topics: Sequence[Topic]) -> list[Finding]:
        """How each topic differs from what it should be. Raises BusRefused where the brokers cannot be asked."""
        described = {each["topic"]: each for each in await self._asked(self._admin.describe_topics(None))}
        known = [topic.name for topic in topics if topic.name in described]
        settings = await self._settings(known)
        return [
            Finding(
                name=topic.name,
                state="exists",
                differences=topic_differences(topic, described[topic.name]["partitions"], settings[topic.name]),
            )
            if topic.name in settings
            else Finding(name=topic.name, state="missing", differences=["missing"])
            for topic in topics
        ]

    async def _seen(self, topics: Sequence[Topic], made: Collection[str]) -> list[Finding]:
        """What was just made is known to every broker, and led, only after a moment."""
        found = await self.compare(topics)
        for _ in range(50):
            if not any(each.differences for each in found if each.name in made):
                break
            await asyncio.sleep(0.1)
            found = await self.compare(topics)
        return found

    async def _settings(self, names: Sequence[str]) -> dict[str, Mapping[str, str]]:
        if not names:
            return {}
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        replies = await self._asked(self._admin.describe_configs(asked))
        return {
            resource[3]: {entry[0]: entry[1] for entry in resource[4]}
            for reply in replies
            for resource in reply.resources
            if resource[0] == 0
        }

    async def _asked(self, asking: Any) -> Any:
        try:
            async with asyncio.timeout(2 * TIMEOUT_MS / 1000):
                return await asking
        except Exception as wrong:  # boundary: a broker of another kind may make the client raise anything
            raise BusRefused(f"the brokers do not answer: {wrong!r}") from wrong


def topic_differences(topic: Topic, partitions: Sequence[Mapping[str, Any]], settings: Mapping[str, str]) -> list[str]:
    """Every difference of a described topic from what it should be, in words."""
    found = []
    if len(partitions) != topic.partitions:
        found.append(f"partitions {len(partitions)}, expected {topic.partitions}")
    counts = sorted({len(each["replicas"]) for each in partitions} - {topic.replication})
    found += [f"replication {count}, expected {topic.replication}" for count in counts]
    least = int(topic.settings["min.insync.replicas"])
    for each in sorted(partitions, key=lambda each: int(each["partition"])):
        if each["leader"] < 0:
            found.append(f"partition {each['partition']} has no leader")
        elif len(each["isr"]) < least:
            found.append(f"partition {each['partition']} has {len(each['isr'])} replicas in sync, {least} are needed")
    for key, value in topic.settings.items():
        if settings.get(key) != value:
            found.append(f"{key} {settings.get(key)}, expected {value}")
    return found
