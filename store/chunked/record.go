package chunked

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/larder-go/larder/store"
)

// A record's value: see the package comment.
const (
	recordMagic = "LDR1"
	recordFixed = len(recordMagic) + 8 + 4 // before the head
	sumSize     = 4
)

// recordRow returns the row of r, with its body unless that is in pieces; until is when the pieces expire.
func recordRow(dig string, r *store.Record, body []byte, until time.Time) (Row, error) {
	b := make([]byte, recordFixed, recordFixed+1024+len(body)+sumSize)
	copy(b, recordMagic)
	if !until.IsZero() {
		binary.BigEndian.PutUint64(b[len(recordMagic):], uint64(until.UnixMilli()))
	}
	b, err := store.EncodeHead(b, r)
	if err != nil {
		return Row{}, err
	}
	binary.BigEndian.PutUint32(b[recordFixed-4:], uint32(len(b)-recordFixed))
	b = append(b, body...)
	b = binary.BigEndian.AppendUint32(b, store.Checksum(0, b))
	return Row{Group: recordGroup(dig), Item: r.ID.String(), Value: b, Expires: earliest(r.KeepUntil, until)}, nil
}

// earliest returns the earlier of two times of which either may be zero: never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// latest returns the later of two such times.
func latest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return a
	}
	return b
}

// decode is the inverse of recordRow; head decodes the head. The record is read-only, and its body part of value.
func decode(value []byte, decodeHead func([]byte) (*store.Record, error)) (r *store.Record, until time.Time, err error) {
	end := len(value) - sumSize
	if end < recordFixed || string(value[:len(recordMagic)]) != recordMagic {
		return nil, until, fmt.Errorf("a value of %d bytes that does not begin with %q: %w", len(value), recordMagic, store.ErrCorrupt)
	}
	if store.Checksum(0, value[:end]) != binary.BigEndian.Uint32(value[end:]) {
		return nil, until, fmt.Errorf("the checksum does not match: %w", store.ErrCorrupt)
	}
	head := int64(binary.BigEndian.Uint32(value[recordFixed-4:]))
	if head > int64(end-recordFixed) {
		return nil, until, fmt.Errorf("a head of %d bytes in a value of %d: %w", head, len(value), store.ErrCorrupt)
	}
	if ms := int64(binary.BigEndian.Uint64(value[len(recordMagic):])); ms != 0 {
		until = time.UnixMilli(ms)
	}
	body := value[int64(recordFixed)+head : end : end]
	r, err = decodeHead(value[recordFixed : int64(recordFixed)+head])
	if err != nil {
		return nil, until, err
	}
	inline := r.Size <= InlineMax
	if inline && int64(len(body)) != r.Size || !inline && len(body) > 0 {
		return nil, until, fmt.Errorf("%d bytes beside the head of a body of %d: %w", len(body), r.Size, store.ErrCorrupt)
	}
	if inline && r.Size > 0 {
		r = r.WithBody(body, r.Size)
	}
	return r, until, nil
}

func pieceItem(number int64) string { return fmt.Sprintf("%08d", number) }

// sign returns the row which says that somebody writes a body, or may still read a removed one.
func sign(group string, until time.Time) Row {
	now := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixMilli()))
	return Row{group, signItem, now, until}
}

// seal appends the checksum of a piece; seed is that of the ID.
func seal(piece []byte, seed uint32, number int64) []byte {
	return binary.BigEndian.AppendUint32(piece, store.Checksum(seed+uint32(number), piece))
}

// unseal is the inverse of seal.
func unseal(value []byte, seed uint32, number int64) ([]byte, error) {
	end := len(value) - sumSize
	if end < 1 || store.Checksum(seed+uint32(number), value[:end]) != binary.BigEndian.Uint32(value[end:]) {
		return nil, fmt.Errorf("piece %d of the body: the checksum does not match: %w", number, store.ErrCorrupt)
	}
	return value[:end:end], nil
}
