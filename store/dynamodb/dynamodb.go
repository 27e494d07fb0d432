package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/larder-go/larder/store/chunked"
)

// Options are the settings of a Store. The zero value, and a nil *Options, mean the defaults.
type Options struct {
	// Options are described in package chunked. Chunk is 350 KiB at most, since an item has 400 KB at most.
	chunked.Options

	// Consistent makes every read strongly consistent, at twice the price. Without it a read may miss what another
	// process wrote within the last second or so, or show what that removed; it always shows what this process wrote.
	Consistent bool

	// Segments is how many parts of the table a scan reads at once; 0: 4. Find without Key, URL and Tag, Size, and
	// Sweep scan it.
	Segments int

	// Attributes are the names of the table's attributes.
	Attributes Attributes

	// The rest is for Open alone.

	// Create makes Open create the table when it is missing, and switch its time to live on.
	Create bool

	// Region and Endpoint say where the table is. Empty: as Config says, or else the SDK's own chain: AWS_REGION,
	// AWS_ENDPOINT_URL_DYNAMODB and the files in ~/.aws.
	Region, Endpoint string

	// Config is what the client is made from; nil: the SDK's own chain. If its HTTPClient or Retryer is nil, the client
	// gets one that does what the package comment says.
	Config *aws.Config

	// Configure, if set, is called last, and may change how the client is made.
	Configure func(*driver.Options)

	// Lazy makes Open return without asking for the table or creating it: whatever is wrong shows at the first use, and
	// may have been put right by then. It is for programs that should start even if their cache cannot be reached.
	Lazy bool
}

// Attributes are the names of a table's attributes.
type Attributes struct {
	Partition string // the partition key, a string; "": pk
	Sort      string // the sort key, a string; "": sk
	Value     string // binary; "": value
	Expires   string // the time to live; "": expires
	Until     string // the same in milliseconds, a number; "": until
}

const maxChunk = 350 << 10

// Store keeps records in one table. It is safe for concurrent use, and any number of stores and processes may share the
// table. It must be made by Open or New.
type Store struct {
	*chunked.Store
	table     *table
	closeIdle func()
}

// Open opens the table that rawURL names,
//
//	dynamodb://TABLE?region=REGION&endpoint=URL&create=true&consistent=true
//
// TABLE is a name or an ARN. Each option is described at the field of [Options] with its name, which it overrides. The
// credentials come from the SDK's own chain, or Options.Config.
//
// Open asks the table for an item that it does not have. So a wrong address, missing credentials, a missing permission
// to read, and a table that is missing or has other keys are errors here; a missing permission to write or to list
// shows at the first use. ctx is for Open alone. Close the store when it is no longer needed.
func Open(ctx context.Context, rawURL string, o *Options) (*Store, error) {
	opts := Options{}
	if o != nil {
		opts = *o
	}
	name, err := parse(rawURL, &opts)
	if err != nil {
		return nil, fmt.Errorf("dynamodb: open: %w", err)
	}
	client, closeIdle, err := connect(ctx, &opts)
	if err != nil {
		return nil, fmt.Errorf("dynamodb: open table %q: %w", name, err)
	}
	s, err := New(client, name, &opts)
	if err != nil {
		closeIdle()
		return nil, err
	}
	s.closeIdle = closeIdle
	if opts.Lazy {
		return s, nil
	}
	err = s.table.probe(ctx)
	if missing := (*types.ResourceNotFoundException)(nil); opts.Create && (err == nil || errors.As(err, &missing)) {
		if err = s.CreateTable(ctx); errors.Is(err, ErrNoTimeToLive) {
			err = nil
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// New uses a client of the caller's, with its own retries and time-outs, and Close leaves it open. New sends nothing:
// what is wrong with the address, the credentials or the table shows at the first use.
func New(client *driver.Client, tableName string, o *Options) (*Store, error) {
	if o == nil {
		o = new(Options)
	}
	t := &table{
		client: client, name: tableName, where: address(tableName, client.Options()),
		attr: o.Attributes.orDefaults(), consistent: o.Consistent, segments: o.Segments,
	}
	if t.segments <= 0 {
		t.segments = 4
	}
	switch {
	case !validName.MatchString(tableName):
		return nil, errName
	case o.Chunk > maxChunk:
		return nil, fmt.Errorf("dynamodb: a chunk of %d bytes, want %d at most, as an item has 400 KB at most", o.Chunk, maxChunk)
	case !t.attr.distinct():
		return nil, fmt.Errorf("dynamodb: two attributes have the same name: %+v", t.attr)
	}
	return &Store{Store: chunked.New(t, &o.Options), table: t, closeIdle: func() {}}, nil
}

// Close removes what is still to be removed, and closes the connections of a client that Open made.
func (s *Store) Close() error {
	err := s.Store.Close()
	s.closeIdle()
	return err
}

var (
	validName = regexp.MustCompile(`^([a-zA-Z0-9_.-]{3,255}|arn:[^@\s]+:table/[a-zA-Z0-9_.-]{3,255})$`)
	errName   = errors.New("dynamodb: not the name of a table: want 3 to 255 letters, digits, dots, hyphens and underscores, or an ARN")
)

// parse reads the URL into o and returns the table's name. Errors do not show the URL: somebody may have put a secret
// in it.
func parse(rawURL string, o *Options) (name string, err error) {
	rest, ok := strings.CutPrefix(rawURL, "dynamodb://")
	if !ok {
		return "", errors.New("the URL does not begin with dynamodb://")
	}
	name, query, _ := strings.Cut(rest, "?")
	name = strings.TrimSuffix(name, "/")
	if !validName.MatchString(name) {
		return "", errors.New("want dynamodb://TABLE with 3 to 255 letters, digits, dots, hyphens and underscores, or an ARN; credentials are not given in the URL")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("table %q: the options after the ? are not a query string", name)
	}
	for option := range values {
		value := values.Get(option)
		switch option {
		case "region":
			o.Region = value
		case "endpoint":
			if u, err := url.Parse(value); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
				return "", fmt.Errorf("table %q: the endpoint is not of the form http://HOST:PORT or https://HOST", name)
			}
			o.Endpoint = value
		case "create", "consistent":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return "", fmt.Errorf("table %q: option %s is %q, want true or false", name, option, value)
			}
			if option == "create" {
				o.Create = on
			} else {
				o.Consistent = on
			}
		default:
			return "", fmt.Errorf("table %q: unknown option %q, want region, endpoint, create or consistent", name, option)
		}
	}
	return name, nil
}

func (a Attributes) orDefaults() Attributes {
	return Attributes{
		Partition: cmp.Or(a.Partition, "pk"),
		Sort:      cmp.Or(a.Sort, "sk"),
		Value:     cmp.Or(a.Value, "value"),
		Expires:   cmp.Or(a.Expires, "expires"),
		Until:     cmp.Or(a.Until, "until"),
	}
}

func (a Attributes) distinct() bool {
	return len(map[string]bool{a.Partition: true, a.Sort: true, a.Value: true, a.Expires: true, a.Until: true}) == 5
}
