"""A caller without a person: joins a real room, speaks, listens, and times every turn at the ear.

`caller.room.Caller` is the library; `caller.cli` is the command; `caller.floor` measures what the
transport alone costs, so that a reply time can be read against it.
"""
