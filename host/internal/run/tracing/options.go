package tracing

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/culvert-project/culvert/host/keystore"
)

// Options say where spans go and which are made.
type Options struct {
	// Endpoint is the URL to which spans are posted.
	Endpoint string
	// Headers go with each request. They may be secret.
	Headers http.Header
	// Certificate is a PEM file with the authorities of the endpoint; "": the system's.
	Certificate string
	// Timeout bounds one sending, with what is tried again of it.
	Timeout time.Duration
	// Service is the name under which the spans are shown; "": that of OTEL_RESOURCE_ATTRIBUTES, else culvert.
	Service string
	// Sampler is one of [samplers], Argument its ratio.
	Sampler, SamplerArg string
	// Redact leaves out of texts what must not be shown. Default: nothing.
	Redact func(string) string
}

// samplers are the names of samplers, as the specification of OTEL_TRACES_SAMPLER has them.
var samplers = []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
	"parentbased_traceidratio"}

// tracesPath is where OTLP has traces below the URL of a collector.
const tracesPath = "v1/traces"

// TracesEndpoint is where traces go of a collector at a URL, as the specification of OTEL_EXPORTER_OTLP_ENDPOINT has
// it.
func TracesEndpoint(base string) (string, error) {
	u, err := CheckEndpoint(base)
	if err != nil {
		return "", err
	}
	at, _ := url.Parse(u)
	return at.JoinPath(tracesPath).String(), nil
}

// CheckEndpoint checks a URL to which traces are posted as it is, as OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has it. The
// error does not quote it: it may hold a password.
func CheckEndpoint(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errors.New("expected http://HOST:PORT or https://HOST:PORT")
	}
	return endpoint, nil
}

// ParseHeaders reads NAME=VALUE, several separated by commas, values with %XX for other characters: the form of
// OTEL_EXPORTER_OTLP_HEADERS. The error quotes no value.
func ParseHeaders(text string) (http.Header, error) {
	headers := http.Header{}
	for n, part := range strings.Split(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, some := strings.Cut(part, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !some || name == "" || err != nil ||
			strings.ContainsFunc(name+decoded, func(r rune) bool { return r < ' ' || r == 0x7f }) ||
			strings.ContainsAny(name, " ()<>@,;:\\\"/[]?={}") {
			return nil, fmt.Errorf("expected NAME=VALUE, separated by commas; number %d is something else", n+1)
		}
		headers.Add(name, decoded)
	}
	return headers, nil
}

// sampler is that of the options.
func (o Options) sampler() (sdk.Sampler, error) {
	ratio := func() (sdk.Sampler, error) {
		share := 1.0
		if o.SamplerArg != "" {
			var err error
			if share, err = strconv.ParseFloat(o.SamplerArg, 64); err != nil || !(share >= 0 && share <= 1) {
				return nil, fmt.Errorf("expected a ratio from 0 to 1, found %q", o.SamplerArg)
			}
		}
		return sdk.TraceIDRatioBased(share), nil
	}
	switch o.Sampler {
	case "always_on":
		return sdk.AlwaysSample(), nil
	case "always_off":
		return sdk.NeverSample(), nil
	case "traceidratio":
		return ratio()
	case "parentbased_always_on", "":
		return sdk.ParentBased(sdk.AlwaysSample()), nil
	case "parentbased_always_off":
		return sdk.ParentBased(sdk.NeverSample()), nil
	case "parentbased_traceidratio":
		root, err := ratio()
		if err != nil {
			return nil, err
		}
		return sdk.ParentBased(root), nil
	}
	return nil, fmt.Errorf("expected one of %s, found %q", strings.Join(samplers, ", "), o.Sampler)
}

// CheckSampler tells what is wrong with the sampler, CheckTrust what is with the certificates.
func (o Options) CheckSampler() error {
	_, err := o.sampler()
	return err
}

// CheckCertificate is as [Options.CheckSampler].
func (o Options) CheckCertificate() error {
	_, err := o.trust()
	return err
}

// trust is the configuration of TLS; nil: the system's.
func (o Options) trust() (*tls.Config, error) {
	if o.Certificate == "" {
		return nil, nil
	}
	data, err := keystore.ReadFile(o.Certificate)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: expected certificates in PEM, found none", o.Certificate)
	}
	return &tls.Config{RootCAs: roots}, nil
}
