"""Where a submission's code runs while a class is graded: a fresh process that sees one folder, no network, and nobody else's work.

`fork_server` keeps a process with torch imported and forks it for every submission; `namespaces` gives each fork a file system, processes
and users of its own; `rights` takes away what is left; `view` says which files there are; `worker` runs cells and calls inside; and
`sandboxed_kernel` is the grader's end of the line.
"""
