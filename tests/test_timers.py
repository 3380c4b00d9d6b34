import threading

from cxrflow.timers import cancel_timers


def test_a_timer_that_waits_does_nothing_any_more_and_its_thread_ends():
    rung = threading.Event()
    timers = [threading.Timer(60, rung.set) for _ in range(3)]
    for timer in timers:
        timer.start()
    cancel_timers()
    for timer in timers:
        timer.join(5)
    assert not any(timer.is_alive() for timer in timers)
    assert not rung.is_set()
