package suite

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Request is one exchange: what the client sends, what the origin answers if it hears of it, and what to check.
type Request struct {
	Method   string   `json:"request_method"` // "": GET
	Headers  []Field  `json:"request_headers"`
	Body     *string  `json:"request_body"`
	Filename string   `json:"filename"`
	Query    string   `json:"query_arg"`
	MagicIMS bool     `json:"magic_ims"` // a number in If-Modified-Since counts from the last response's Server-Now
	RFC850   []string `json:"rfc850date"`
	Pause    bool     `json:"pause_after"`

	// Options of Fetch, which mean nothing here.
	Redirect    string `json:"redirect"`
	Cache       string `json:"cache"`
	Mode        string `json:"mode"`
	Credentials string `json:"credentials"`

	Status          *Status   `json:"response_status"` // nil: 200 OK
	ResponseHeaders []Field   `json:"response_headers"`
	ResponseBody    *string   `json:"response_body"` // nil: the run's id
	ResponsePause   int       `json:"response_pause"`
	Disconnect      bool      `json:"disconnect"`
	Interim         []Interim `json:"interim_responses"`
	MagicLocations  bool      `json:"magic_locations"`

	Type                  string           `json:"expected_type"`
	ExpectedStatus        Maybe[int]       `json:"expected_status"`
	ExpectedHeaders       []Expected       `json:"expected_response_headers"`
	MissingHeaders        []Expected       `json:"expected_response_headers_missing"`
	ExpectedText          Maybe[string]    `json:"expected_response_text"`
	ExpectedInterim       Maybe[[]Interim] `json:"expected_interim_responses"`
	CheckBody             *bool            `json:"check_body"` // nil: true
	ExpectedMethod        string           `json:"expected_method"`
	ExpectedRequest       []Expected       `json:"expected_request_headers"`
	MissingRequestHeaders []Expected       `json:"expected_request_headers_missing"`
	Setup                 bool             `json:"setup"`
	SetupTests            []string         `json:"setup_tests"`
}

// The values of Request.Type.
const (
	cached        = "cached"
	notCached     = "not_cached"
	lmValidated   = "lm_validated"
	etagValidated = "etag_validated"
)

func (r *Request) check(i int) error {
	if !slices.Contains([]string{"", cached, notCached, lmValidated, etagValidated}, r.Type) {
		return fmt.Errorf("expected_type is %q, want cached, not_cached, lm_validated or etag_validated", r.Type)
	}
	if r.validated() && i == 0 {
		return fmt.Errorf("expected_type is %s, and there is no request before it", r.Type)
	}
	if r.ResponsePause < 0 {
		return fmt.Errorf("response_pause is %d, want seconds", r.ResponsePause)
	}
	return nil
}

func (r *Request) method() string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

func (r *Request) validated() bool { return r.Type == lmValidated || r.Type == etagValidated }

func (r *Request) checksBody() bool { return r.CheckBody == nil || *r.CheckBody }

// setup reports whether a check that fails says only that the test could not be made.
func (r *Request) setup(check string) bool { return r.Setup || slices.Contains(r.SetupTests, check) }

// Maybe is a member that may be absent, or null, or have a value.
type Maybe[T any] struct {
	Set, Null bool
	Value     T
}

func (m *Maybe[T]) UnmarshalJSON(data []byte) error {
	m.Set = true
	if string(data) == "null" {
		m.Null = true
		return nil
	}
	return json.Unmarshal(data, &m.Value)
}

// Status is [code, phrase].
type Status struct {
	Code   int
	Phrase string
}

func (s *Status) UnmarshalJSON(data []byte) error {
	if err := tuple(data, &s.Code, &s.Phrase); err != nil {
		return fmt.Errorf("response_status: want [code, phrase]: %w", err)
	}
	if s.Code < 100 || s.Code > 999 {
		return fmt.Errorf("response_status is %d, want three digits", s.Code)
	}
	return nil
}

// Interim is [code] or [code, headers].
type Interim struct {
	Code    int
	Headers []Field
}

func (i *Interim) UnmarshalJSON(data []byte) error {
	err := tuple(data, &i.Code)
	if err != nil {
		err = tuple(data, &i.Code, &i.Headers)
	}
	if err != nil || i.Code < 100 || i.Code > 199 {
		return fmt.Errorf("interim response %s: want [1xx] or [1xx, headers]", data)
	}
	return nil
}

// Field is a header line, [name, value] or [name, value, checked].
type Field struct {
	Name  string
	Value Value
	Quiet bool // its arrival is not checked
}

func (f *Field) UnmarshalJSON(data []byte) error {
	checked := true
	err := tuple(data, &f.Name, &f.Value)
	if err != nil {
		err = tuple(data, &f.Name, &f.Value, &checked)
	}
	if err != nil || f.Name == "" {
		return fmt.Errorf("header %s: want [name, value] or [name, value, boolean], where the value is text or an integer", data)
	}
	f.Quiet = !checked
	return nil
}

// Value is a header's value: text, or in a header that holds a date, seconds from Server-Now.
type Value struct {
	Text    string
	Number  bool
	Seconds int64
}

func (v *Value) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &v.Text)
	}
	if err := json.Unmarshal(data, &v.Seconds); err != nil {
		return err
	}
	if string(data) == "null" {
		return errors.New("no value")
	}
	v.Text, v.Number = strconv.FormatInt(v.Seconds, 10), true
	return nil
}

var dates = []string{"date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"}

// at returns the value that the header gets at a time, which is in milliseconds since 1970.
func (v Value) at(name string, now int64, rfc850 []string) string {
	name = strings.ToLower(name)
	if !v.Number || !slices.Contains(dates, name) {
		return v.Text
	}
	t := time.UnixMilli(now).Add(time.Duration(v.Seconds) * time.Second).UTC()
	if slices.Contains(rfc850, name) {
		return t.Format("Monday, 02-Jan-06 15:04:05 GMT")
	}
	return t.Format(http.TimeFormat)
}

// Expected is what a header should be: "name", [name, value], [name, "=", other] or [name, ">", n].
type Expected struct {
	Name  string
	Op    string // "": it is there; "is", "=" or ">"
	Value Value  // what it is
	Other string // the header it equals
	Least int    // what it is more than
}

func (e *Expected) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &e.Name) == nil && e.Name != "" {
		return nil
	}
	if tuple(data, &e.Name, &e.Value) == nil {
		e.Op = "is"
		return nil
	}
	var third json.RawMessage
	if tuple(data, &e.Name, &e.Op, &third) == nil {
		if e.Op == "=" && json.Unmarshal(third, &e.Other) == nil || e.Op == ">" && json.Unmarshal(third, &e.Least) == nil {
			return nil
		}
	}
	return fmt.Errorf(`header %s: want "name", [name, value], [name, "=", name] or [name, ">", number]`, data)
}

// tuple decodes a JSON array with as many elements as into has.
func tuple(data []byte, into ...any) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if len(raw) != len(into) {
		return errors.New("wrong number of elements")
	}
	for i := range raw {
		if err := json.Unmarshal(raw[i], into[i]); err != nil {
			return err
		}
	}
	return nil
}
