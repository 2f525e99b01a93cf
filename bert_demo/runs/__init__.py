"""Runs outlive the page: each is a folder, a worker process trains it, a queue picks the next.

The files in the order in which to read them:

asked        what somebody asks a model while it learns
record       what a run's folder says, read and written in whole pieces
facts        what a run's checkpoint says of it: its results, baselines, settings
events       the events of runs that many people watch
limiter      how often something may come from one address
owners       whose a run is, who the teacher is, how often somebody may guess at that
store        all runs under one folder
actions      what a run's owner may do: stop, pause, resume, delete, rename
curve        a run's losses step by step, their windows and their noise
diagnosis    which named state a run is in, by its curves, and one thing to try
baseline     the run that a class measures its own against
references   recorded runs of usual settings, to see whether a curve is normal
pairs        runs that differ in one setting, with the same seeds
questions    what a film asks of somebody's own text
film         what a model under training says of a few fixed sentences
warm         what every process that trains for the app does before its first run
preparation  what comes before a run's first event, and its end
worker       the process that trains
peers        the processes that train along where there are several GPUs
watchdog     whether a worker hangs
process      the worker as the queue sees it
searches     searches for a learning rate, which workers do in turn with the runs
crowd        how much may wait where anybody can come
turns        whose turn it is
queue        hands queued runs to workers and sees how they end
zerogpu      the queue where a GPU exists only inside an event
"""
