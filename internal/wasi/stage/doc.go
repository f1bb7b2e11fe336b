// Package stage is the device's side of a call that runs on a clone: it
// answers what package site asks, and takes over what the clone did.
//
// [Server] answers forwarded requests by value (PROTOCOL rules 10 and 11).
// Every request may be hostile; it touches neither the descriptor table nor
// guest memory. [Server.CheckReads] and [Server.Release] are rule 13: output
// goes out early only if everything read so far still holds.
//
// [Server.Prepare] and [Staged.Commit] are rules 15 and 16. The design is a
// rollback journal:
//
//   - Prepare plays the effects on a model of the folders, which refuses
//     what a hostile clone made up, and puts everything new (content, folders,
//     links) under names of its own beside where it will go, flushed to disk.
//     Nothing that was there has changed yet.
//   - Commit writes a record that says how to undo every step, and then does
//     the steps in the order of the effects. Almost all are renames: what is
//     removed or replaced is renamed too, and deleted only at the very end.
//     Files that are held open, have several names or change in place keep
//     their old bytes in the record.
//   - The commit point is the entry "done" in the journal. Before it, any
//     failure, a write to a closed stdout included, undoes everything; after
//     it only garbage is left to sweep. [Recover] does the one or the other
//     for a device that was killed in between.
//
// A step is recognised as done by the inode it moved, so undoing may be
// repeated and cut anywhere. Names that are used twice are kept apart by
// batches, each announced in the journal before it begins.
//
// Files change on unix systems only; elsewhere Prepare refuses effects that
// are not output, and the call runs locally.
package stage
