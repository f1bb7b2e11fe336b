// Package pairing is how a device and a node come to list each other: by a URL
// that the node prints, once, and a person carries to the device.
//
//	clonecloud://HOST:PORT/?id=ID&token=TOKEN&name=NAME&addr=HOST:PORT...
//
// The URL names the node's identity, so the device cannot be led to another
// node, and a random token of 128 bits, so the node knows that this device was
// shown the URL. It is a secret until it is used, and worth nothing afterwards.
//
// Invariants:
//
//   - A token works once. It is burnt by success, by age (Lifetime), and after
//     MaxFailures wrong attempts by anybody while it lives. Attempts are also
//     limited in rate.
//   - The token itself is never sent. Each side proves it with an HMAC over both
//     identities and key material of this very TLS connection, so a proof is of
//     no use on another one, and the device sends its proof only to the key that
//     the URL names.
//   - The node lists the device before it says so; the device lists the node
//     after that, and then confirms. A device that was cut off in between may
//     use the token again; nobody else may.
//
// Every refusal is a distinct error that says what to do next. The package
// speaks over link.Stranger connections and imports link and identity only.
package pairing
