"""States on disk: whole or not there, recognised when damaged; and a Ctrl-C that waits for a step's end."""

import errno
import os
import signal
import threading
import time

import pytest
import torch

from helpers.running import checkpoints
from helpers.running.checkpoints import CheckpointError, interrupts_held, newest, write


def state(step: int) -> tuple[dict[str, torch.Tensor], dict]:
    generator = torch.Generator().manual_seed(step)
    tensors = {"model.a": torch.randn(40, 3, generator=generator), "adam.0.step": torch.tensor(float(step))}
    return tensors, {"losses": [[step, 0.1 + 0.2]], "scaler": {}}


def same(found, step: int) -> bool:
    tensors, facts = state(step)
    return (
        found is not None
        and found[0] == step
        and found[2] == facts
        and found[1].keys() == tensors.keys()
        and all(torch.equal(found[1][name], tensors[name]) for name in tensors)
    )


def test_the_newest_state_comes_back_bit_by_bit(tmp_path):
    assert newest(tmp_path, "trunk", at_most=10) is None
    for step in (3, 20, 100):
        write(tmp_path, "trunk", step, *state(step))
    write(tmp_path, "branch", 7, *state(7))
    assert same(newest(tmp_path, "trunk", at_most=100), 100)
    assert same(newest(tmp_path, "trunk", at_most=99), 20)
    assert same(newest(tmp_path, "branch", at_most=99), 7)
    assert newest(tmp_path, "trunk", at_most=2) is None


def test_two_states_of_each_name_are_kept(tmp_path):
    for step in range(1, 6):
        write(tmp_path, "trunk", step, *state(step))
    write(tmp_path, "trunk-2", 1, *state(1))
    assert sorted(int(file.stem.split("-")[-2]) for file in tmp_path.glob("trunk-0*")) == [4, 5]
    assert len(list(tmp_path.iterdir())) == 3  # and nothing else, the other run's state included


@pytest.mark.parametrize("where", [0, 9, 60, -1])  # the header's length, the header, the tensors, the end
def test_a_flipped_bit_is_recognised_and_the_state_before_is_used(tmp_path, where, capsys):
    for step in (1, 2):
        write(tmp_path, "trunk", step, *state(step))
    (file,) = tmp_path.glob("trunk-*2-*.safetensors")
    data = bytearray(file.read_bytes())
    data[where] ^= 4
    file.write_bytes(data)
    assert same(newest(tmp_path, "trunk", at_most=9), 1)
    assert "damaged" in capsys.readouterr().out


def test_a_file_that_was_cut_short_is_recognised(tmp_path):
    write(tmp_path, "trunk", 1, *state(1))
    (file,) = tmp_path.iterdir()
    for length in (0, 5, 100):
        file.write_bytes(file.read_bytes()[:length])
        assert newest(tmp_path, "trunk", at_most=9) is None


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_full_disk_damages_nothing_and_says_what_to_do(tmp_path, monkeypatch, moment):
    write(tmp_path, "trunk", 1, *state(1))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.os, moment, full)
        with pytest.raises(CheckpointError, match=r"trunk-000000002.* MB \(No space left.*Make room there"):
            write(tmp_path, "trunk", 2, *state(2))
    assert len(list(tmp_path.iterdir())) == 1 and same(newest(tmp_path, "trunk", at_most=9), 1)


def test_what_a_killed_process_was_writing_is_no_state(tmp_path):
    (tmp_path / "trunk-000000009-0123456789abcdef.part").write_bytes(b"half")
    assert newest(tmp_path, "trunk", at_most=9) is None


# Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_the_block(number):
    """Ctrl-C, and what a cluster sends before it takes the machine away."""
    reached, before = [], signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interrupts_held() as is_asked_to_stop:
        assert not is_asked_to_stop()
        os.kill(os.getpid(), number)
        time.sleep(0.01)
        assert is_asked_to_stop()
        reached.append("after the signal")
    assert reached == ["after the signal"]
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_is_not_held():
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        pytest.fail("the second interrupt was held too")


def test_in_a_thread_nothing_is_held():
    seen, before = [], signal.getsignal(signal.SIGINT)  # ignored where tests run in the background

    def work():
        with interrupts_held() as is_asked_to_stop:
            seen.append((is_asked_to_stop(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
