package compressed

import (
	"errors"
	"io"
	"testing"

	"github.com/larder-go/larder/internal/behaviour"
	"github.com/larder-go/larder/internal/damage"
	"github.com/larder-go/larder/internal/model"
	"github.com/larder-go/larder/internal/wrap"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/sealed"
	"github.com/larder-go/larder/store/storetest"
)

var _ interface {
	store.Store
	store.Wrapper
	store.Finder
	store.Sweeper
	store.Sizer
	store.Leaser
	store.Local
} = (*Store)(nil)

// layer puts a store around another one.
type layer func(store.Store) (store.Store, error)

func pressed(s store.Store) (store.Store, error) { return New(s), nil }
func text(s store.Store) (store.Store, error)    { return texts{wrap.Inner{Store: s}}, nil }

func sealing(s store.Store) (store.Store, error) {
	key, err := sealed.KeyFromBytes(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	return sealed.New(s, key)
}

// around puts layers around what open opens, the innermost first.
func around(s store.Store, err error, layers ...layer) (store.Store, error) {
	for _, l := range layers {
		if err != nil {
			return nil, err
		}
		s, err = l(s)
	}
	return s, err
}

func memoryKit(layers ...layer) storetest.Kit {
	return storetest.Kit{
		Open: func(string) (store.Store, error) {
			return around(&memory.Store{MaxBytes: 256 << 20}, nil, layers...)
		},
		OpenLimited: func(_ string, limit int64) (store.Store, error) {
			return around(&memory.Store{MaxBytes: limit}, nil, layers...)
		},
	}
}

func diskKit(layers ...layer) storetest.Kit {
	return storetest.Kit{
		Open: func(dir string) (store.Store, error) {
			s, err := disk.Open(dir, nil)
			return around(s, err, layers...)
		},
		OpenLimited: func(dir string, limit int64) (store.Store, error) {
			s, err := disk.Open(dir, &disk.Options{MaxBytes: limit})
			return around(s, err, layers...)
		},
		Persistent: true,
		Shared:     true,
		DamageHead: func(dir string, r *store.Record) error { return damage.Head(dir, r.ID) },
		DamageBody: func(dir string, r *store.Record) error { return damage.Body(dir, r.ID) },
	}
}

func TestContract(t *testing.T) {
	for _, size := range []int{1000, 200_000} {
		s, err := around(new(memory.Store), nil, pressed, text)
		must(t, err)
		r := put(t, s, record("text/plain"), noise(size), -1)
		in := only(t, s.(texts).Store.(*Store).Store, r.Key)
		if in.Size > int64(each*size)*15/16 {
			t.Fatalf("%d bytes of text are packed in %d: these kits show nothing", each*size, in.Size)
		}
	}
	noise := memoryKit(pressed)
	noise.Open = func(string) (store.Store, error) { return New(new(memory.Store)), nil }
	noise.MaxBody = 32 << 20
	// Compression under the race detector takes its time, so each kit shows something that no other does.
	for name, kit := range map[string]storetest.Kit{
		"noise in memory":                      noise,
		"text, sealed then compressed":         memoryKit(pressed, sealing, text),
		"text, compressed then sealed on disk": diskKit(sealing, pressed, text),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, kit)
		})
	}
}

// plain is a store with the five methods and no more.
type plain struct{ store.Store }

func TestIsNoMoreThanTheInnerStore(t *testing.T) {
	s := New(plain{new(memory.Store)})
	_, local := store.As[store.Local](s)
	_, finder := store.As[store.Finder](s)
	_, leaser := store.As[store.Leaser](s)
	if local || finder || leaser {
		t.Errorf("around a plain store it is a Local %v, a Finder %v, a Leaser %v", local, finder, leaser)
	}
	var last error
	for _, err := range s.Find(ctx, store.Query{}) {
		last = err
	}
	if !errors.Is(last, errors.ErrUnsupported) {
		t.Errorf("Find: %v", last)
	}
	r := put(t, s, record("text/plain"), document(300_000), -1)
	wantWhole(t, s, r, document(300_000))
}

func TestABodyThatCannotBeReadIsThereStill(t *testing.T) {
	inner := openDisk(t)
	r := put(t, New(inner), record("text/plain"), document(3_000_000), -1)
	b, err := New(damage.Unreadable{Store: inner}).Open(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got, err := io.ReadAll(b); len(got) > 0 || !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, store.ErrCorrupt) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	wantWhole(t, New(inner), r, document(3_000_000))
}

func TestBehaviour(t *testing.T) {
	behaviour.Run(t, func(*testing.T) store.Store { return New(new(memory.Store)) })
}

func TestModel(t *testing.T) {
	model.Run(t, func(*testing.T) store.Store { return New(new(memory.Store)) })
}
