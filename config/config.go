package config

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder"
)

// Config is what a file says. The zero value is an empty file: everything has its default. A Config must not be changed
// while several goroutines use it.
type Config struct {
	Store  Store    `yaml:"store,omitempty"`
	Cache  Cache    `yaml:"cache,omitempty"`
	Rules  []Rule   `yaml:"rules,omitempty"`  // the first that matches applies
	Redact []string `yaml:"redact,omitempty"` // as Rule.Redact, for all requests
	Serve  Serve    `yaml:"serve,omitempty"`

	file string              // "": no file
	at   map[string]position // of the values in the file, by Fault.Field
}

// Store is where responses are kept.
type Store struct {
	Location        Text   `yaml:"location,omitempty"`          // as ParseLocation reads it; "": memory, or for the command its default
	MaxBytes        Limit  `yaml:"max-bytes,omitempty"`         // of sqlite, disk and memory; 0: the store's default
	Compress        bool   `yaml:"compress,omitempty"`          // keep bodies compressed
	EncryptKeyFiles []Text `yaml:"encrypt-key-files,omitempty"` // keep responses encrypted: the first key seals, all open
	Front           *Front `yaml:"front,omitempty"`             // memory in front of it; nil: none
}

// Front is memory in front of a store; see package store/tiered.
type Front struct {
	MaxBytes Limit  `yaml:"max-bytes,omitempty"` // 0: 64 MiB
	MaxBody  Size   `yaml:"max-body,omitempty"`  // 0: 1 MiB
	Lifetime Window `yaml:"lifetime,omitempty"`  // how long an answer of the store is relied on; 0: 2 s
	Alone    Window `yaml:"alone,omitempty"`     // how much longer while the store fails; 0: 1 min
}

// Cache has the fields of larder.Cache that a file can set, with the same defaults.
type Cache struct {
	Shared         bool     `yaml:"shared,omitempty"`   // larder serve uses Serve.Private instead
	Targeted       Names    `yaml:"targeted,omitempty"` // an empty list: none
	Name           string   `yaml:"name,omitempty"`     // "": larder, for the command
	ShowKey        bool     `yaml:"show-key,omitempty"`
	VerifyDigests  bool     `yaml:"verify-digests,omitempty"`
	MaxBody        Size     `yaml:"max-body,omitempty"`
	MaxKeyBody     Size     `yaml:"max-key-body,omitempty"`
	MaxVariants    int      `yaml:"max-variants,omitempty"`
	KeepStale      Duration `yaml:"keep-stale,omitempty"`
	RefreshTimeout Duration `yaml:"refresh-timeout,omitempty"`
	StoreTimeout   Duration `yaml:"store-timeout,omitempty"`
	LeaseTime      Duration `yaml:"lease-time,omitempty"`
	LeaseWait      Duration `yaml:"lease-wait,omitempty"`
	FailClosed     bool     `yaml:"fail-closed,omitempty"`
}

// Names is a list of names in which nil (not given) differs from an empty list.
type Names []string

// IsZero reports whether n is nil.
func (n Names) IsZero() bool { return n == nil }

// Rule is a larder.Rule without its Filter, which only Go can express.
type Rule struct {
	Match                string    `yaml:"match,omitempty"`
	Methods              []string  `yaml:"methods,omitempty"`
	TTL                  TTL       `yaml:"ttl,omitempty"`
	Expires              time.Time `yaml:"expires,omitempty"`
	Statuses             []int     `yaml:"statuses,omitempty"`
	StaleWhileRevalidate Window    `yaml:"stale-while-revalidate,omitempty"`
	StaleIfError         Window    `yaml:"stale-if-error,omitempty"`
	MaxBody              Size      `yaml:"max-body,omitempty"`
	Tags                 []string  `yaml:"tags,omitempty"`
	SortQuery            bool      `yaml:"sort-query,omitempty"`
	KeyHeaders           []string  `yaml:"key-headers,omitempty"`
	Ignore               Ignore    `yaml:"ignore,omitempty"`
	Redact               []string  `yaml:"redact,omitempty"`
	Strip                []string  `yaml:"strip,omitempty"`
}

// Ignore is larder.Ignore.
type Ignore struct {
	Query  []string `yaml:"query,omitempty"`
	Header []string `yaml:"header,omitempty"`
	Form   []string `yaml:"form,omitempty"`
	JSON   []string `yaml:"json,omitempty"`
}

// Serve has the settings of larder serve: those of a proxy.Proxy, its proxy.Server and its proxy.Transport, with the
// same defaults.
type Serve struct {
	Listen       Text   `yaml:"listen,omitempty"`  // "": 127.0.0.1:8080
	Origins      []Text `yaml:"origins,omitempty"` // each as proxy.ParseOrigin reads it
	Hosts        []Text `yaml:"hosts,omitempty"`
	Private      bool   `yaml:"private,omitempty"` // a private cache; false: a shared one
	Cert         Text   `yaml:"cert,omitempty"`    // files, in PEM; "": plain HTTP
	Key          Text   `yaml:"key,omitempty"`
	PreserveHost bool   `yaml:"preserve-host,omitempty"`
	Forwarded    bool   `yaml:"forwarded,omitempty"`
	Via          string `yaml:"via,omitempty"`

	TTL     TTL  `yaml:"ttl,omitempty"`     // as larder.WithTTL, for all requests
	Offline bool `yaml:"offline,omitempty"` // never ask the origins
	Stale   bool `yaml:"stale,omitempty"`   // take what is stored, however stale

	MaxBody           Size     `yaml:"max-body,omitempty"` // of a request
	MaxHeader         Size     `yaml:"max-header,omitempty"`
	MaxResponseHeader Size     `yaml:"max-response-header,omitempty"`
	MaxConnections    int      `yaml:"max-connections,omitempty"`
	MaxStreams        int      `yaml:"max-streams,omitempty"`
	HeaderTimeout     Duration `yaml:"header-timeout,omitempty"`
	IdleTimeout       Duration `yaml:"idle-timeout,omitempty"`
	ConnectTimeout    Duration `yaml:"connect-timeout,omitempty"`
	ResponseTimeout   Duration `yaml:"response-timeout,omitempty"`
	StallTimeout      Duration `yaml:"stall-timeout,omitempty"`
	Grace             Duration `yaml:"grace,omitempty"`
}

// maxFile is the size in bytes of the largest file that is read.
const maxFile = 1 << 20

// Load reads a file of at most 1 MiB. If something is wrong with what it says, the error is Faults.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return Parse(path, text)
}

// Parse reads text of at most 1 MiB. name is the name of its file, which need not exist: errors begin with it, and
// relative paths in the text start at its folder. If something is wrong with the text, the error is Faults. Parse opens
// nothing.
func Parse(name string, text []byte) (*Config, error) {
	c := &Config{file: name, at: make(map[string]position)}
	faults := c.decode(text)
	if len(faults) == 0 {
		faults = c.check()
	}
	if err := faults.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// File returns the name that Load or Parse was given; "" for a Config that came from neither.
func (c *Config) File() string { return c.file }

// fault returns a Fault of a field, at its place in the file or at that of what it belongs to.
func (c *Config) fault(field, format string, a ...any) *Fault {
	f := &Fault{File: c.file, Field: field, Problem: fmt.Sprintf(format, a...)}
	for path := field; ; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		if at, ok := c.at[path]; ok || path == "" {
			f.Line, f.Column = at.line, at.column
			return f
		}
	}
}

// Apply sets the fields of a cache that c.Cache sets, and its Rules.
func (c *Config) Apply(to *larder.Cache) {
	s := c.Cache
	to.Shared = to.Shared || s.Shared
	to.ShowKey = to.ShowKey || s.ShowKey
	to.VerifyDigests = to.VerifyDigests || s.VerifyDigests
	to.FailClosed = to.FailClosed || s.FailClosed
	if s.Targeted != nil {
		to.Targeted = s.Targeted
	}
	set(&to.Name, s.Name)
	set(&to.MaxBody, int64(s.MaxBody))
	set(&to.MaxKeyBody, int64(s.MaxKeyBody))
	set(&to.MaxVariants, s.MaxVariants)
	set(&to.KeepStale, time.Duration(s.KeepStale))
	set(&to.RefreshTimeout, time.Duration(s.RefreshTimeout))
	set(&to.StoreTimeout, time.Duration(s.StoreTimeout))
	set(&to.LeaseTime, time.Duration(s.LeaseTime))
	set(&to.LeaseWait, time.Duration(s.LeaseWait))
	to.Rules = c.LarderRules()
}

// set stores v in to, unless v is zero.
func set[T comparable](to *T, v T) { *to = cmp.Or(v, *to) }

// LarderRules returns the rules for a larder.Cache: those of c, then more. Each also redacts what c.Redact names. If
// that names anything, a last rule redacts it in all other requests.
func (c *Config) LarderRules(more ...larder.Rule) []larder.Rule {
	var rules []larder.Rule
	for i := range c.Rules {
		rules = append(rules, c.Rules[i].larder())
	}
	rules = append(rules, more...)
	if len(c.Redact) == 0 {
		return rules
	}
	rules = append(rules, larder.Rule{})
	for i := range rules {
		rules[i].Redact = slices.Concat(rules[i].Redact, c.Redact)
	}
	return rules
}

func (r *Rule) larder() larder.Rule {
	return larder.Rule{
		Match:                r.Match,
		Methods:              r.Methods,
		TTL:                  time.Duration(r.TTL),
		Expires:              r.Expires,
		Statuses:             r.Statuses,
		StaleWhileRevalidate: time.Duration(r.StaleWhileRevalidate),
		StaleIfError:         time.Duration(r.StaleIfError),
		MaxBody:              int64(r.MaxBody),
		Tags:                 r.Tags,
		SortQuery:            r.SortQuery,
		KeyHeaders:           r.KeyHeaders,
		Ignore:               larder.Ignore(r.Ignore),
		Redact:               r.Redact,
		Strip:                r.Strip,
	}
}
