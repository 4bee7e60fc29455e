package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/secret"
	"github.com/culvert-project/culvert/host/shown"
)

// client posts spans to a collector: OTLP over HTTP, binary (https://opentelemetry.io/docs/specs/otlp/#otlphttp). The
// conversion of spans is the SDK's; its own client for HTTP is not used, since it links all of gRPC.
type client struct {
	endpoint string
	headers  http.Header
	known    secret.Known // the headers' values, which are shown in no answer
	timeout  time.Duration
	http     *http.Client
	// life is until the last spans are to be sent: then nothing is tried again.
	life context.Context
	end  context.CancelFunc
}

const (
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 10
	// firstPause and lastPause are between two tries of one sending; they double.
	firstPause, lastPause = time.Second, 8 * time.Second
)

func newClient(o Options) (*client, error) {
	trusted, err := o.trust()
	if err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = trusted
	c := &client{endpoint: o.Endpoint, headers: o.Headers, timeout: o.Timeout, http: &http.Client{Transport: t,
		// Headers may be secret, and the next address is somebody else's.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	for _, values := range o.Headers {
		c.known.Keep(values...)
	}
	c.life, c.end = context.WithCancel(context.Background())
	return c, nil
}

// shown is the endpoint without what may be secret.
func (c *client) shown() string {
	u, err := url.Parse(c.endpoint)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// Start and Stop make it an otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }

// Stop lets connections go.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// rejected is the error of spans that a collector did not take of those that it answered with success.
type rejected struct {
	spans int64
	why   string
}

func (r *rejected) Error() string {
	return fmt.Sprintf("the collector has refused %d spans: %s", r.spans, shown.Line(r.why))
}

// UploadTraces sends spans. What may pass is tried again within the client's time: no answer, and the statuses that the
// specification names (429, 502, 503, 504).
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	if len(spans) == 0 {
		return nil
	}
	// TracesData is on the wire what ExportTraceServiceRequest is, which stands in a package that links gRPC.
	plain, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	_, _ = z.Write(plain) // a buffer takes everything
	_ = z.Close()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		again, atLeast, err := c.post(ctx, body.Bytes())
		if err == nil || !again {
			return err
		}
		wait = max(wait, atLeast)
		if within, some := ctx.Deadline(); some && time.Until(within) < wait || c.waits(ctx, wait) != nil {
			return err
		}
	}
}

// waits pauses between two tries, until the tracer closes at the latest.
func (c *client) waits(ctx context.Context, wait time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	return pause.For(ctx, wait)
}

// post sends a body once. again: another try may do better, not before atLeast.
func (c *client) post(ctx context.Context, body []byte) (again bool, atLeast time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return false, 0, errors.New("the endpoint is no URL")
	}
	for name, values := range c.headers {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "gzip")
	answer, err := c.http.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // it names the URL, which may hold a password
			err = u.Err
		}
		return true, 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 16)
		return true, time.Duration(seconds) * time.Second, fmt.Errorf("the collector answers %d", answer.StatusCode)
	}
	switch {
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		return false, 0, fmt.Errorf("the collector answers %d", answer.StatusCode)
	case err != nil:
		return false, 0, fmt.Errorf("the collector answers %d and breaks off: %w", answer.StatusCode, err)
	}
	media, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	if strings.TrimSpace(media) != "application/x-protobuf" {
		return false, 0, nil // it has said yes, and no more
	}
	if refused := partly(text); refused.spans > 0 {
		refused.why = c.known.Strike(refused.why)
		return false, 0, refused
	}
	return false, 0, nil
}

// partly reads ExportTraceServiceResponse: its field 1 is partial_success, of which field 1 is rejected_spans and field
// 2 error_message.
func partly(answer []byte) *rejected {
	r := &rejected{}
	fields(answer, func(n protowire.Number, _ uint64, inner []byte) {
		if n != 1 {
			return
		}
		fields(inner, func(n protowire.Number, number uint64, text []byte) {
			switch n {
			case 1:
				r.spans = int64(number)
			case 2:
				r.why = string(text)
			}
		})
	})
	return r
}

// fields calls see with the numbers and bytes of a message, as far as it is one.
func fields(message []byte, see func(n protowire.Number, number uint64, bytes []byte)) {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return
		}
		message = message[size:]
		switch kind {
		case protowire.VarintType:
			number, size := protowire.ConsumeVarint(message)
			if size < 0 {
				return
			}
			see(n, number, nil)
			message = message[size:]
		case protowire.BytesType:
			bytes, size := protowire.ConsumeBytes(message)
			if size < 0 {
				return
			}
			see(n, 0, bytes)
			message = message[size:]
		default:
			if size = protowire.ConsumeFieldValue(n, kind, message); size < 0 {
				return
			}
			message = message[size:]
		}
	}
}

// exporter counts what was sent, and says once that nothing can be, and once that it can be again.
type exporter struct {
	sdk.SpanExporter
	to          string
	log         *slog.Logger
	taken, lost atomic.Int64

	mu     sync.Mutex
	failed string // the error that was logged last, while it lasts
	missed int64  // spans since then
}

// ExportSpans never fails: what it has to say is said here, in one line while failures last and not for each batch.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.mu.Lock()
	defer e.mu.Unlock()
	lost := int64(len(spans))
	var some *rejected
	switch {
	case err == nil:
		lost = 0
	case errors.As(err, &some):
		lost = min(lost, some.spans)
	}
	e.lost.Add(lost)
	e.taken.Add(int64(len(spans)) - lost)
	e.missed += lost
	switch {
	case err == nil && e.failed != "":
		e.log.Info("tracing: spans are sent again", "endpoint", e.to, "lost", e.missed)
		e.failed, e.missed = "", 0
	case err != nil && e.failed == "":
		e.failed = err.Error()
		e.log.Warn("tracing: spans cannot be sent, and those until they can be are lost", "endpoint", e.to,
			"error", err)
	}
	return nil
}
