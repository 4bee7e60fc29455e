package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// creation is what POST /connectors takes.
type creation struct {
	name  string
	given Given
}

func (c *creation) UnmarshalJSON(data []byte) error {
	var name plainText
	var state *plainText
	if _, err := exactly(data, map[string]any{"name": &name, "config": &c.given, "initial_state": &state}); err != nil {
		return err
	}
	target := connect.Running
	if state != nil {
		target = connect.TargetState(strings.ToUpper(string(*state)))
	}
	switch target {
	case connect.Running, connect.Paused, connect.Stopped:
	default:
		return fmt.Errorf("initial_state: expected RUNNING, PAUSED or STOPPED, found %q", *state)
	}
	c.name, c.given.New = string(name), &target
	return nil
}

// exactly decodes an object whose members must be keys of into, with the same case, as in Kafka Connect. some reports
// whether it is not null.
func exactly(data []byte, into map[string]any) (some bool, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return false, err
	}
	for member, value := range members {
		if into[member] == nil {
			names := strings.Join(slices.Sorted(maps.Keys(into)), ", ")
			return false, fmt.Errorf("expected %s, found %q", names, member)
		}
		if err := json.Unmarshal(value, into[member]); err != nil {
			return false, err
		}
	}
	return members != nil, nil
}

// plainText is a scalar as text; null is the empty text.
type plainText string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *plainText) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '{', '[':
		return errors.New("expected text, found an object or a list")
	case 'n':
		*t = ""
		return nil
	case '"':
		return json.Unmarshal(data, (*string)(t))
	}
	*t = plainText(data)
	return nil
}

// CheckName says in Kafka Connect's words what is wrong with the name of a connector, "" if nothing.
func CheckName(name string) string {
	if name == "" {
		return "Invalid value  for configuration name: String may not be empty"
	}
	var found []string
	for _, r := range name {
		if unicode.IsControl(r) { // Unicode's Cc, as Java's isISOControl
			found = append(found, fmt.Sprint(int(r)))
		}
	}
	if len(found) > 0 {
		return "Invalid value " + name +
			" for configuration name: String may not contain control sequences but had the following ASCII chars: " +
			strings.Join(found, ", ")
	}
	return ""
}

// write stores a configuration and answers with the connector, and with its location if it is new.
func (x *exchange) write(name string, given Given) {
	done, err := x.worker.Write(x.limited(), name, given)
	done.Config = x.shown(done.Config)
	if x.r.Method == http.MethodPut {
		x.tagged(done.Version)
	}
	if !done.Created || err != nil {
		x.reply(done.Info, err)
		return
	}
	x.w.Header().Set("Location", x.origin()+"/connectors/"+url.PathEscape(done.Name))
	x.answer(http.StatusCreated, done.Info)
}

// origin is how the client calls this worker.
func (x *exchange) origin() string {
	if x.r.TLS != nil {
		return "https://" + x.r.Host
	}
	return "http://" + x.r.Host
}

func (x *exchange) create() {
	var c creation
	if x.body(&c) && x.whole(c.given) {
		x.write(setting.Trim(c.name), c.given)
	}
}

func (x *exchange) putConfig() {
	if given, ok := x.given(); ok {
		given.Over = x.over()
		x.write(setting.Trim(x.name()), given)
	}
}

func (x *exchange) patchConfig() {
	given := Given{Patch: true}
	switch {
	case !x.body(&given):
	case given.Settings == nil:
		x.fail(http.StatusInternalServerError, "expected settings to change as a JSON object, found null")
	default:
		x.write(x.name(), given)
	}
}

func (x *exchange) remove() {
	x.done(http.StatusNoContent, x.worker.Delete(x.limited(), x.name()))
}
