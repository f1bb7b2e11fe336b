// Package identity is who a device or a node is, and whom it knows.
//
// An identity is one ECDSA P-256 key with a self-signed certificate, made on
// first use in a directory and never changed. P-256 and not Ed25519, because
// phone key stores and browsers (WebTransport's certificate hashes) speak it.
//
// The ID is the SHA-256 of the certificate's SubjectPublicKeyInfo: it names the
// key, so the certificate around it may be issued anew without a new pairing.
// There is no authority above the two lists of peers: A may talk to B when A
// lists B and B lists A. Expiry dates are not consulted, because a device whose
// clock is wrong must still reach its clone; removing a peer is the revocation.
//
// A directory holds:
//
//	key.pem     the private key, PKCS #8, mode 0600
//	cert.pem    the self-signed certificate
//	peers.json  the known peers and whether offloading is enabled
//	peers.lock  locked while peers.json is rewritten
//
// Every file is replaced by writing a temporary file beside it, syncing it,
// renaming it and syncing the folder, so a crash leaves the old or the new
// content. Two processes may use one directory at the same time.
//
// The package opens no connection and imports nothing else of ours.
package identity
