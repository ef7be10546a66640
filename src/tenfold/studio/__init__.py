"""The desktop program: accounts, a queue of jobs, and windows on top of both.

What a window needs, in the order in which it needs it:

    store = Store()                            tenfold.studio.store; refusals are in tenfold.studio.errors
    store.accounts.is_new                      then create_administrator(name, password), else login(...)
    session.touch(), session.locked            tenfold.studio.sessions; accounts.unlock(session, password)
    store.accounts.user(session)               name, administrator, must_change; tenfold.studio.accounts
    store.queue.add(session, command, values)  cancel, resume, remove, jobs, progress, events, log
    store.queue.poll()                         by a timer; tenfold.studio.queue
    store.close()                              jobs go on, and are found again

A bundle's program whose first argument is `tenfold.studio.process.CHILD` must be the command line: jobs start
it so. Nothing here imports torch.
"""
