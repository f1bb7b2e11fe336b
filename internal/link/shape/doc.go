// Package shape makes a fast link behave like a slow one, inside the process.
//
// A Profile says what the link is like: one-way delay, jitter, rate up and
// down, loss, and the length of the queue in front of the bottleneck. A Control
// is one live link with that profile. It wraps sockets, and all sockets that it
// wraps share the link, as all traffic of a phone shares its radio. "Up" is
// what the wrapped side sends, "down" what it receives: only one end, the
// device, is wrapped, and the other needs to know nothing.
//
// # The model
//
// Each direction is a virtual clock: a packet of n bytes occupies the
// bottleneck for n*8/rate after the packets before it, then travels OneWay plus
// a uniform share of Jitter. Order is kept. A packet that finds more than Queue
// bytes waiting is dropped (tail drop); a packet is lost with probability Loss.
// Losses come from a seeded generator, so the same packets meet the same fate.
// Headers below the socket (IP, UDP, TCP) are not counted.
//
// Datagrams (QUIC) get exactly that, and QUIC's own recovery and congestion
// control do the rest.
//
// For a byte stream (TCP) the wrapped socket is the kernel's, over a perfect
// path, so what TCP would have done about loss is modelled, for each segment of
// 1448 bytes: a lost segment takes the bottleneck twice; it and all that
// follows arrive one round trip later (fast retransmission, head-of-line
// blocking); and for one round trip that connection sends at half the rate.
// A full queue makes the writer wait instead of dropping, which is where TCP's
// congestion control would settle. Connecting costs a round trip. Slow start,
// time-outs and delayed acknowledgements are not modelled: short transfers
// over long paths look better than they are. Against a real TCP through a
// packet shaper (50 ms, 5 Mbit/s, 1 % loss: 3.9 to 4.7 Mbit/s) the model gives
// 4.5.
//
// Time is the time package's, nothing else: inside a testing/synctest bubble
// every delay is exact and costs nothing.
//
// The package imports nothing else of ours.
package shape
