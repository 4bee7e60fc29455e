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

	"github.com/culvert-project/culvert/internal/keystore"
)

// Options configure a [Tracer].
type Options struct {
	Endpoint    string        // receives the spans
	Headers     http.Header   // added to each request; they may be secret
	Certificate string        // PEM file of certificate authorities; empty means the system's
	Timeout     time.Duration // of an export, including retries
	// Service is the service name of the spans. Empty means the name in OTEL_RESOURCE_ATTRIBUTES, or culvert.
	Service    string
	Sampler    string              // one of [samplers], empty means parentbased_always_on
	SamplerArg string              // the ratio of traceidratio and parentbased_traceidratio, empty means 1
	Redact     func(string) string // removes secrets from texts; nil removes nothing
}

// samplers are the values of OTEL_TRACES_SAMPLER.
var samplers = []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
	"parentbased_traceidratio"}

const tracesPath = "v1/traces"

// TracesEndpoint returns the URL for traces below base, the value of OTEL_EXPORTER_OTLP_ENDPOINT.
func TracesEndpoint(base string) (string, error) {
	u, err := CheckEndpoint(base)
	if err != nil {
		return "", err
	}
	endpoint, _ := url.Parse(u)
	return endpoint.JoinPath(tracesPath).String(), nil
}

// CheckEndpoint checks and returns OTEL_EXPORTER_OTLP_TRACES_ENDPOINT. Errors do not quote it: it may have a password.
func CheckEndpoint(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", errors.New("expected http://HOST:PORT or https://HOST:PORT")
	}
	return endpoint, nil
}

// ParseHeaders parses OTEL_EXPORTER_OTLP_HEADERS: NAME=VALUE pairs with %XX escapes. The error quotes no value.
func ParseHeaders(list string) (http.Header, error) {
	headers := http.Header{}
	for n, part := range strings.Split(list, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		name = strings.TrimSpace(name)
		hasControl := strings.ContainsFunc(name+decoded, func(r rune) bool { return r < ' ' || r == 0x7f })
		hasSeparator := strings.ContainsAny(name, " ()<>@,;:\\\"/[]?={}") // of HTTP, which no name contains
		if !ok || name == "" || err != nil || hasControl || hasSeparator {
			return nil, fmt.Errorf("expected NAME=VALUE, separated by commas; number %d is something else", n+1)
		}
		headers.Add(name, decoded)
	}
	return headers, nil
}

func (o Options) sampler() (sdk.Sampler, error) {
	ratio := func() (sdk.Sampler, error) {
		fraction := 1.0
		if o.SamplerArg != "" {
			var err error
			fraction, err = strconv.ParseFloat(o.SamplerArg, 64)
			if err != nil || !(fraction >= 0 && fraction <= 1) { // also NaN
				return nil, fmt.Errorf("expected a ratio from 0 to 1, found %q", o.SamplerArg)
			}
		}
		return sdk.TraceIDRatioBased(fraction), nil
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

// CheckSampler validates the sampler.
func (o Options) CheckSampler() error {
	_, err := o.sampler()
	return err
}

// CheckCertificate validates the certificates.
func (o Options) CheckCertificate() error {
	_, err := o.tlsConfig()
	return err
}

func (o Options) tlsConfig() (*tls.Config, error) {
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
