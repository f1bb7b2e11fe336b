package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// TypeOf returns the frame type that carries a message.
func TypeOf(msg proto.Message) (Type, bool) {
	switch msg.(type) {
	case *Hello:
		return TypeHello, true
	case *Welcome:
		return TypeWelcome, true
	case *Refuse:
		return TypeRefuse, true
	case *Ping:
		return TypePing, true
	case *Pong:
		return TypePong, true
	case *Bye:
		return TypeBye, true
	case *Unpair:
		return TypeUnpair, true
	case *LinkState:
		return TypeLinkState, true
	case *Event:
		return TypeEvent, true
	case *RunOpen:
		return TypeRunOpen, true
	case *ModuleWant:
		return TypeModuleWant, true
	case *ModuleChunk:
		return TypeModuleChunk, true
	case *RunReady:
		return TypeRunReady, true
	case *RunClose:
		return TypeRunClose, true
	case *Call:
		return TypeCall, true
	case *PageHashes:
		return TypePageHashes, true
	case *NeedBase:
		return TypeNeedBase, true
	case *NeedPages:
		return TypeNeedPages, true
	case *Applied:
		return TypeApplied, true
	case *ImportRequest:
		return TypeImportRequest, true
	case *ImportReply:
		return TypeImportReply, true
	case *Release:
		return TypeRelease, true
	case *Return:
		return TypeReturn, true
	case *Ack:
		return TypeAck, true
	case *Cancel:
		return TypeCancel, true
	case *Resume:
		return TypeResume, true
	case *Resumed:
		return TypeResumed, true
	case *Unknown:
		return TypeUnknown, true
	}
	return 0, false
}

// newMessage returns an empty message of a known type.
func newMessage(t Type) proto.Message {
	switch t {
	case TypeHello:
		return new(Hello)
	case TypeWelcome:
		return new(Welcome)
	case TypeRefuse:
		return new(Refuse)
	case TypePing:
		return new(Ping)
	case TypePong:
		return new(Pong)
	case TypeBye:
		return new(Bye)
	case TypeUnpair:
		return new(Unpair)
	case TypeLinkState:
		return new(LinkState)
	case TypeEvent:
		return new(Event)
	case TypeRunOpen:
		return new(RunOpen)
	case TypeModuleWant:
		return new(ModuleWant)
	case TypeModuleChunk:
		return new(ModuleChunk)
	case TypeRunReady:
		return new(RunReady)
	case TypeRunClose:
		return new(RunClose)
	case TypeCall:
		return new(Call)
	case TypePageHashes:
		return new(PageHashes)
	case TypeNeedBase:
		return new(NeedBase)
	case TypeNeedPages:
		return new(NeedPages)
	case TypeApplied:
		return new(Applied)
	case TypeImportRequest:
		return new(ImportRequest)
	case TypeImportReply:
		return new(ImportReply)
	case TypeRelease:
		return new(Release)
	case TypeReturn:
		return new(Return)
	case TypeAck:
		return new(Ack)
	case TypeCancel:
		return new(Cancel)
	case TypeResume:
		return new(Resume)
	case TypeResumed:
		return new(Resumed)
	case TypeUnknown:
		return new(Unknown)
	}
	return nil
}

// Message decodes f.Meta and checks it against the limits of its type. The
// message is safe to walk; whether it makes sense in the attempt's state is
// for package offload to say. The error wraps [ErrMalformed].
func (f *Frame) Message() (proto.Message, error) {
	m := newMessage(f.Type)
	if m == nil {
		return nil, malformed("unknown %v", f.Type)
	}
	if err := countFields(f.Meta, maxFields); err != nil {
		return nil, malformed("%v: %v", f.Type, err)
	}
	if err := proto.Unmarshal(f.Meta, m); err != nil {
		return nil, malformed("%v: %v", f.Type, err)
	}
	if err := Check(m); err != nil {
		return nil, malformed("%v: %v", f.Type, err)
	}
	return m, nil
}

// maxFields bounds the fields of one message before it is decoded: a batch
// of two-byte entries would otherwise become a hundred times its size.
const maxFields = MaxBare + 2*MaxBatch + 64

func countFields(b []byte, limit int) error {
	for n := 0; len(b) > 0; n++ {
		if n == limit {
			return fmt.Errorf("more than %d fields", limit)
		}
		num, typ, k := protowire.ConsumeTag(b)
		if k < 0 {
			return protowire.ParseError(k)
		}
		if v := protowire.ConsumeFieldValue(num, typ, b[k:]); v < 0 {
			return protowire.ParseError(v)
		} else {
			b = b[k+v:]
		}
	}
	return nil
}
