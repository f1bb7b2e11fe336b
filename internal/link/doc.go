// Package link is how a device and a node talk: an ordered byte stream and a
// small control stream between two identities that list each other, over QUIC
// or, where UDP does not pass, over TCP. Both carry TLS 1.3 with a certificate
// on each side. The package knows nothing of what the bytes mean.
//
// # What holds
//
//   - A Conn that Dial returned has been accepted by the peer: the peer has
//     answered a hello, sent inside TLS. A device that the node does not list
//     learns it from Dial (ErrNotPaired), not from its first read.
//   - Peers are known by identity.ID alone. No authority, no host name and no
//     date is consulted; each connection, a resumed one too, looks the peer up
//     in the list as it is now.
//   - The control stream is never queued behind the data stream by us: on QUIC
//     it is a stream of higher priority, on TCP a second connection. (A second
//     connection and not a multiplexer, because a multiplexer costs the data
//     path two goroutine hops: 96 us against 33 us for an echo on loopback.)
//     Both share whatever queue the network has.
//   - 0-RTT carries nothing but the hello and Options.EarlyData, which therefore
//     must be idempotent: an attacker may replay them to the node. The node sees
//     them marked replayable and reads no other byte before the handshake is
//     complete. Tickets live in the Redialer, in memory: a new process starts
//     with a full handshake.
//   - A link that has gone silent ends with ErrLost: while watched (the
//     default) the dialer pings five times per Options.Silence and either side
//     gives up after that much silence. Watch(false) stops the pings while
//     nothing is awaited, so that a phone's radio can sleep.
//   - Round trip and rates are measured from the traffic: see Meter.
//
// A Redialer keeps what makes the second connection cheap: the UDP socket
// (quic-go cannot move a connection whose first path has died, so the base
// mechanism is to dial again with 0-RTT), tickets, and which transport and
// address worked.
//
// Sub-packages: identity (keys, ids, known peers), pairing (how two sides come
// to list each other), shape (slow links for tests and demos). Link imports
// nothing else of ours.
package link
