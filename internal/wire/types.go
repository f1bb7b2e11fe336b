package wire

import (
	"encoding/hex"
	"fmt"
)

// ID names a run or an attempt: 128 random bits. The zero ID names nothing.
type ID [16]byte

// IsZero reports whether the ID names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the first 8 bytes in hexadecimal, enough for people.
func (id ID) String() string { return hex.EncodeToString(id[:8]) }

// IDFrom converts a message's bytes field; anything but 16 bytes is an error.
func IDFrom(b []byte) (ID, error) {
	if len(b) != len(ID{}) {
		return ID{}, fmt.Errorf("wire: an id of %d bytes, want %d", len(b), len(ID{}))
	}
	return ID(b), nil
}

// Type is a frame's type. The numbers are the protocol's.
type Type uint8

// The frame types; docs/PROTOCOL.md says who sends which.
const (
	TypeHello     Type = 1
	TypeWelcome   Type = 2
	TypeRefuse    Type = 3
	TypePing      Type = 4
	TypePong      Type = 5
	TypeBye       Type = 6
	TypeUnpair    Type = 7
	TypeLinkState Type = 8
	TypeEvent     Type = 9

	TypeRunOpen     Type = 16
	TypeModuleWant  Type = 17
	TypeModuleChunk Type = 18
	TypeRunReady    Type = 19
	TypeRunClose    Type = 20

	TypeCall          Type = 32
	TypePageHashes    Type = 33
	TypeNeedBase      Type = 34
	TypeNeedPages     Type = 35
	TypeApplied       Type = 36
	TypeImportRequest Type = 37
	TypeImportReply   Type = 38
	TypeRelease       Type = 39
	TypeReturn        Type = 40
	TypeAck           Type = 41
	TypeCancel        Type = 42
	TypeResume        Type = 43
	TypeResumed       Type = 44
	TypeUnknown       Type = 45
)

// Sizes in bytes.
const (
	kib = 1 << 10
	mib = 1 << 20

	// ChunkSize is the size of a module chunk before compression, the last
	// chunk's excepted.
	ChunkSize = mib
	// MaxModule is the largest module that travels.
	MaxModule = 256 * mib
	// MaxBody is the default limit of a Call's or Return's body.
	MaxBody = 1 << 30
	// MaxPayload bounds one effect, reply or encoded log entry.
	MaxPayload = 16 * mib
	// MaxBatch bounds the entries, and the reads, of one batch.
	MaxBatch = 1 << 16
	// MaxBare bounds the bare effects of a Return.
	MaxBare = 1 << 20
	// PageSize is the size of the pages that NeedPages counts.
	PageSize = 4 * kib
	// PageHashSize is the size of one entry in a PageHashes body.
	PageHashSize = 16
	// MaxMemory is the largest guest memory.
	MaxMemory = 1 << 32
)

// scope says which ids a type's header must carry.
type scope uint8

const (
	scopeLink    scope = iota // neither
	scopeRun                  // run
	scopeAttempt              // run and attempt
	scopeAny                  // any that is consistent: attempt only with run
)

type rule struct {
	name          string
	meta, body    uint32 // largest lengths
	scope         scope
	seq           bool // numbered within the attempt
	cloneToDevice bool // only a clone or a node sends it
}

// rules is indexed by Type; a type without a name does not exist.
var rules = [...]rule{
	TypeHello:     {name: "Hello", meta: 64 * kib},
	TypeWelcome:   {name: "Welcome", meta: 64 * kib},
	TypeRefuse:    {name: "Refuse", meta: 64 * kib, scope: scopeAny},
	TypePing:      {name: "Ping", meta: 64 * kib},
	TypePong:      {name: "Pong", meta: 64 * kib},
	TypeBye:       {name: "Bye", meta: 64 * kib},
	TypeUnpair:    {name: "Unpair", meta: 64 * kib},
	TypeLinkState: {name: "LinkState", meta: 64 * kib},
	TypeEvent:     {name: "Event", meta: mib},

	TypeRunOpen:     {name: "RunOpen", meta: 64 * kib, scope: scopeRun},
	TypeModuleWant:  {name: "ModuleWant", meta: 64 * kib, scope: scopeRun, cloneToDevice: true},
	TypeModuleChunk: {name: "ModuleChunk", meta: 64 * kib, body: mib + 4*kib, scope: scopeRun},
	TypeRunReady:    {name: "RunReady", meta: 64 * kib, scope: scopeRun, cloneToDevice: true},
	TypeRunClose:    {name: "RunClose", meta: 64 * kib, scope: scopeRun},

	TypeCall:          {name: "Call", meta: 16 * mib, body: MaxBody, scope: scopeAttempt, seq: true},
	TypePageHashes:    {name: "PageHashes", meta: 64 * kib, body: MaxMemory / PageSize * PageHashSize, scope: scopeAttempt, seq: true},
	TypeNeedBase:      {name: "NeedBase", meta: 64 * kib, scope: scopeAttempt, seq: true, cloneToDevice: true},
	TypeNeedPages:     {name: "NeedPages", meta: mib, scope: scopeAttempt, seq: true, cloneToDevice: true},
	TypeApplied:       {name: "Applied", meta: 64 * kib, scope: scopeAttempt, seq: true, cloneToDevice: true},
	TypeImportRequest: {name: "ImportRequest", meta: 20 * mib, scope: scopeAttempt, seq: true, cloneToDevice: true},
	TypeImportReply:   {name: "ImportReply", meta: 20 * mib, scope: scopeAttempt, seq: true},
	TypeRelease:       {name: "Release", meta: 32 * mib, scope: scopeAttempt, seq: true, cloneToDevice: true},
	TypeReturn:        {name: "Return", meta: 64 * mib, body: MaxBody, scope: scopeAttempt, seq: true, cloneToDevice: true},
	TypeAck:           {name: "Ack", meta: 64 * kib, scope: scopeAttempt},
	TypeCancel:        {name: "Cancel", meta: 64 * kib, scope: scopeAttempt},
	TypeResume:        {name: "Resume", meta: 64 * kib, scope: scopeAttempt},
	TypeResumed:       {name: "Resumed", meta: 64 * kib, scope: scopeAttempt, cloneToDevice: true},
	TypeUnknown:       {name: "Unknown", meta: 64 * kib, scope: scopeAttempt, cloneToDevice: true},
}

// Known reports whether version 1 has the type.
func (t Type) Known() bool { return int(t) < len(rules) && rules[t].name != "" }

// String returns the name that docs/PROTOCOL.md uses.
func (t Type) String() string {
	if !t.Known() {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return rules[t].name
}

// Sequenced reports whether frames of the type are numbered within their
// attempt: those that a redial repeats.
func (t Type) Sequenced() bool { return t.Known() && rules[t].seq }

// FromClone reports whether only a clone or a node sends the type.
func (t Type) FromClone() bool { return t.Known() && rules[t].cloneToDevice }
