package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/culvert-project/culvert/host/internal/base/inbound"
)

// What is sent may have as many bytes as a file of a connector, and may take that long to arrive; of all requests under
// way together so many bytes are held, with what other workers answer for them.
const (
	bodyBytes   = 1 << 20
	maxBodies   = 32 << 20
	bodyTimeout = 30 * time.Second
)

// body reads what was sent into a value. A body that is no JSON, or of another shape, is answered as
// [exchange.misshapen] says. As with Kafka Connect, one whose type is not named is refused, and a byte order mark is
// passed over. Routes that Kafka Connect does not have refuse members that nobody knows: "letter" in the place of
// "letters" would have all dead letters replayed.
func (x *exchange) body(into any) bool {
	if x.r.Header.Get("Content-Type") == "" && x.r.ContentLength != 0 {
		x.fail(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type")
		return false
	}
	data, ok := x.content(bodyBytes)
	switch {
	case !ok:
		return false
	case len(data) == 0:
		x.misshapen("expected a JSON object, found nothing")
		return false
	case !utf8.Valid(data): // decoding would put another character into its place
		x.misshapen("expected a JSON object in UTF-8, found bytes that are none")
		return false
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	err := json.Unmarshal(data, into)
	if err == nil && x.route.isOwn() {
		err = strictly(data, into)
	}
	if err != nil {
		x.misshapen("expected a JSON object: " + err.Error())
	}
	return err == nil
}

// misshapen answers a body of another shape than the route takes: with 500 where Kafka Connect does, since tools know
// it so, else with 400.
func (x *exchange) misshapen(why string) {
	status := http.StatusInternalServerError
	if x.route.isOwn() {
		status = http.StatusBadRequest
	}
	x.fail(status, why)
}

// content reads what was sent, at most so many bytes; where it cannot be read it has answered. It is called once.
func (x *exchange) content(most int64) (data []byte, ok bool) {
	data, release, ok := received(x.bodies, x.w, x.r, most, x.fail)
	x.releases = append(x.releases, release)
	return data, ok
}

// received reads what was sent, at most so many bytes. release gives back their room and is to be called once. Where
// they cannot be read, answer has been called, and ok is false.
func received(bodies *inbound.Bodies, w http.ResponseWriter, r *http.Request, most int64,
	answer func(status int, why string)) (data []byte, release func(), ok bool) {
	data, release, err := bodies.Read(http.MaxBytesReader(w, r.Body, most), maxBodies)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, inbound.ErrFull):
		w.Header().Set("Retry-After", "10")
		inbound.AnswerEarly(w, r, func() { answer(http.StatusServiceUnavailable, err.Error()) })
	case errors.As(err, &tooLarge):
		answer(http.StatusRequestEntityTooLarge, fmt.Sprintf("expected at most %d bytes", most))
	case errors.Is(err, os.ErrDeadlineExceeded):
		answer(http.StatusRequestTimeout, fmt.Sprintf("expected the body within %v", bodyTimeout))
	case err != nil:
		answer(http.StatusBadRequest, "the body could not be read: "+err.Error())
	default:
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a writer of a test has none
		return data, release, true
	}
	return nil, release, false
}

// NullValue is Kafka Connect's text for each setting that is null.
const NullValue = "Null value can not be supplied as the configuration value."

// UnmarshalJSON reads settings: numbers and booleans count as their text, null is kept apart.
func (g *Given) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return err
	}
	g.Settings, g.Null = make(map[string]string, len(members)), nil
	for key, value := range members {
		switch value[0] {
		case '{', '[':
			return fmt.Errorf("%s: expected text, a number or a boolean, found an object or a list", key)
		case 'n':
			g.Null = append(g.Null, key)
		case '"':
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				return err
			}
			g.Settings[key] = text
		default:
			g.Settings[key] = string(value)
		}
	}
	return nil
}

// whole tells whether there is a configuration; else it has answered.
func (x *exchange) whole(g Given) bool {
	if g.Settings == nil {
		x.misshapen("expected a configuration as a JSON object, found null or nothing")
	}
	return g.Settings != nil
}

// strictly reads an object all of whose members are known.
func strictly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// limited returns a context for a request that ends after the time that its route may take, or with the answer.
func (x *exchange) limited() context.Context {
	ctx, cancel := context.WithTimeout(x.r.Context(), cmp.Or(x.route.within, changeTimeout))
	x.releases = append(x.releases, cancel)
	return ctx
}
