package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// address names the table and where it is.
func address(name string, o driver.Options) string {
	if o.BaseEndpoint == nil {
		return fmt.Sprintf("table %q in %s", name, o.Region)
	}
	endpoint := *o.BaseEndpoint
	if u, err := url.Parse(endpoint); err == nil {
		endpoint = u.Redacted()
	}
	return fmt.Sprintf("table %q at %s", name, endpoint)
}

// fault adds to err the table and what failed, in one sentence; of nil, nil.
func (t *table) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("dynamodb: %s: %s: %w", t.where, op, plainly(err))
}

// plain is an error of the SDK in fewer words.
type plain struct {
	words string
	err   error
}

func (p *plain) Error() string { return p.words }
func (p *plain) Unwrap() error { return p.err }

// causes are plain words for the API's errors that people can do something about.
var causes = map[string]string{
	"ResourceNotFoundException":              "there is no such table; create it, or let Open do so by create=true",
	"AccessDeniedException":                  "a permission is missing",
	"UnrecognizedClientException":            "the credentials are refused",
	"InvalidSignatureException":              "the credentials are refused",
	"IncompleteSignatureException":           "the credentials are refused",
	"MissingAuthenticationTokenException":    "the credentials are refused",
	"ExpiredTokenException":                  "the credentials have expired",
	"ProvisionedThroughputExceededException": "throttled",
	"ThrottlingException":                    "throttled",
	"RequestLimitExceeded":                   "throttled",
}

func plainly(err error) error {
	operation, ok := err.(*smithy.OperationError)
	if !ok {
		return err // it is one of ours
	}
	var api smithy.APIError
	var send *smithyhttp.RequestSendError
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		return &plain{"the caller gave up", err}
	case errors.As(err, &api):
		message, _, _ := strings.Cut(api.ErrorMessage(), "\n")
		cause := causes[api.ErrorCode()]
		if cause == "" {
			cause = api.ErrorCode()
		}
		return &plain{strings.TrimSuffix(cause+": "+message, ": "), err}
	case errors.As(err, &dns) && dns.IsNotFound:
		return &plain{fmt.Sprintf("there is no host %q", dns.Name), err}
	case errors.As(err, &send):
		cause := send.Err
		if u := (*url.Error)(nil); errors.As(cause, &u) {
			cause = u.Err // without the method and the address
		}
		return &plain{cause.Error(), err}
	}
	return &plain{operation.Err.Error(), err}
}
