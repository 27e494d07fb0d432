package dynamodb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/logging"
)

// How long a client that Open makes waits at most.
const (
	dialTimeout   = 500 * time.Millisecond
	tlsTimeout    = time.Second
	answerTimeout = 5 * time.Second
)

// connect makes a client of o, and a function that closes its idle connections.
func connect(ctx context.Context, o *Options) (*driver.Client, func(), error) {
	var cfg aws.Config
	if o.Config != nil {
		cfg = o.Config.Copy()
	} else {
		var err error
		if cfg, err = config.LoadDefaultConfig(ctx, config.WithHTTPClient(httpClient()), config.WithLogger(logging.Nop{})); err != nil {
			return nil, nil, fmt.Errorf("load the AWS configuration: %w", err)
		}
	}
	if o.Region != "" {
		cfg.Region = o.Region
	}
	closeIdle := func() {}
	if o.Config == nil || cfg.HTTPClient == nil {
		ours, ok := cfg.HTTPClient.(*awshttp.BuildableClient) // with what the configuration says of certificates
		if !ok {
			ours = httpClient()
		}
		transport := ours.GetTransport()
		cfg.HTTPClient, closeIdle = &http.Client{Transport: transport}, transport.CloseIdleConnections
	}
	client := driver.NewFromConfig(cfg, func(do *driver.Options) {
		if cfg.Retryer == nil {
			do.Retryer = retryer()
		}
		if o.Endpoint != "" {
			do.BaseEndpoint = &o.Endpoint
		}
		if o.Configure != nil {
			o.Configure(do)
		}
	})
	if client.Options().Region == "" {
		return nil, nil, errors.New("no region is given; want region=NAME in the URL, Options.Region or AWS_REGION")
	}
	return client, closeIdle, nil
}

func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout = tlsTimeout
			t.ResponseHeaderTimeout = answerTimeout
			t.MaxIdleConnsPerHost = t.MaxIdleConns // there is but one
		})
}

// maxTries is how often a request is tried. The waits in between add up to 1.3 s on average, and to 2.6 s at most.
const maxTries = 8

// retryer retries what is throttled, failed at the server or was cut off, but not what found nobody or no answer: a
// cache is not worth that wait.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxTries
		o.Backoff = retry.BackoffDelayerFunc(func(tries int, _ error) (time.Duration, error) { return delay(max(0, tries-1)), nil })
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(connection)}, o.Retryables...)
	})
}

func connection(err error) aws.Ternary {
	var op *net.OpError
	var dns *net.DNSError
	var slow interface{ Timeout() bool }
	var foreign *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dns), errors.As(err, &op) && op.Op == "dial", errors.As(err, &slow) && slow.Timeout(), errors.As(err, &foreign):
		return aws.FalseTernary
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// delay returns how long to wait after the first try and so many more.
func delay(tries int) time.Duration {
	return rand.N(min(25*time.Millisecond<<tries, time.Second))
}

var errThrottled = errors.New("throttled: the table does not get through with what it is asked for")

// pause waits after so many tries in a row that brought nothing. It fails if they are too many.
func pause(ctx context.Context, tries int) error {
	if tries >= maxTries {
		return errThrottled
	}
	timer := time.NewTimer(delay(tries))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
