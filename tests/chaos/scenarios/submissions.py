"""Twenty clients submit the same launch three times each, while the app is killed again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from random import Random

from tests.chaos.records import Records
from tests.chaos.stage import Row, Stage
from tests.chaos.world import World, light

CLIENTS, TIMES = 20, 3
ALIVE_S = (0.1, 1.2)  # of the app between two deaths


def submissions(stage: Stage) -> Iterator[Row]:
    world = stage.world()
    world.serve()
    answers: dict[int, list[int]] = {number: [] for number in range(CLIENTS)}
    clients = [
        threading.Thread(target=_client, args=(world, number, answers[number], Random(stage.random.random())))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    kills = 0
    while any(client.is_alive() for client in clients):
        time.sleep(stage.random.uniform(*ALIVE_S))
        if kills < (40 if stage.is_long else 4):
            world.kill_app()
            kills += 1
            world.serve()
    for client in clients:
        client.join()
    world.close()
    records = Records(world.data_dir)
    other = [number for number, ids in answers.items() if len(set(ids)) != 1 or len(ids) != TIMES]
    made = {ids[0] for ids in answers.values()}
    holds = not other and len(records.runs) == CLIENTS == len(made) and not records.broken()
    yield Row(f"{CLIENTS} clients × {TIMES} identical launches with a key each, the app killed {kills} times meanwhile",
              f"{len(records.runs)} runs; {CLIENTS - len(other)} clients got one answer", f"{CLIENTS} runs, one answer",
              holds)  # fmt: skip


def _client(world: World, number: int, answers: list[int], random: Random) -> None:
    body = {"recipe": light(seed=number), "name": f"client {number}"}
    while len(answers) < TIMES:
        time.sleep(random.uniform(0, 3))
        try:
            answer = world.send("POST", "/api/v1/runs", body, headers={"Idempotency-Key": f"client-{number}"})
        except OSError:
            continue
        if answer.status == 201:
            answers.append(answer.body["runs"][0]["id"])
