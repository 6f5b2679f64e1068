"""Watches over a training process, whatever the environment does to it.

`watch` forks the training process and waits for it. `board` is memory that both share: it tells
which call of the environment is running. `tree` finds and ends what the process left behind;
`cgroup` does it where the kernel's cgroups may be written. `log` bounds the size of the log file.
`sentinel` ends a process whose owner is on another machine. Only the standard library and
`policyd.runtime.running_time` are imported here: the watching process should stay small.
"""
