// Plugin-source is a template for a source of a service that is not OData: a JSON API with cursors and ETags. Try it
// with [tickets-api].
//
// connector.class=example.TicketsSource, tickets.host=127.0.0.1, tickets.port=8091, tickets.topic=Tickets
//
// [tickets-api]: https://pkg.go.dev/github.com/culvert-project/culvert/examples/tickets-api
package main

import (
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
)

func init() { source.RegisterPages(tickets{}) }

// main does not run: a plugin is a library whose exports the host calls.
func main() {}

type tickets struct{}

// Describe declares the connector and its settings. The host uses the settings with a role: the plugin requests a path,
// and never sees the address or the key.
func (tickets) Describe() wit.Description {
	setting := func(name string, kind wit.SettingKind, value *string, documentation string,
		rules ...wit.Rule) wit.ConfigKey {
		return wit.ConfigKey{Name: "tickets." + name, Kind: kind, DefaultValue: value, Importance: wit.High,
			Documentation: documentation, Rules: rules}
	}
	role := func(name string) wit.Rule { return wit.Rule{Role: &name} }
	required := wit.Rule{Required: wit.Set}
	return wit.Description{
		Name: "example-source", Version: "1.0.0", Documentation: "Reads tickets from a JSON API.",
		Components: []wit.Component{{
			Name: "example.TicketsSource", Kind: wit.ComponentSource, Documentation: "Reads tickets from a JSON API.",
			Prefixes: []string{"tickets."},
			Settings: []wit.ConfigKey{
				setting("protocol", wit.KindString, nil, "http or https.", required, role("http.scheme"),
					wit.Rule{Allowed: &[]string{"http", "https"}}),
				setting("host", wit.KindString, nil, "DNS name or IP address of the API.", required,
					role("http.address")),
				setting("port", wit.KindInt, nil, "Port of the API.", required, role("http.port")),
				setting("api.key", wit.KindPassword, nil, "Value of the header X-Api-Key.",
					role("http.header.X-Api-Key")),
				setting("query.{name}", wit.KindPassword, nil, "A secret in the query, for APIs that expect it there.",
					role("http.query.{name}")),
				setting("origins", wit.KindList, nil,
					"Further origins of pages, such as https://files.example.com.", role("http.origins")),
				setting("topic", wit.KindString, nil, "Topic of the records.", required),
				setting("page.size", wit.KindInt, wit.Ptr("100"), "Number of tickets per request.",
					wit.Rule{AtLeast: wit.Ptr(int64(1))},
					wit.Rule{AtMost: wit.Ptr(int64(1000))}),
				setting("poll.seconds", wit.KindInt, wit.Ptr("60"),
					"Pause between polls for new tickets; 0 reads once.",
					wit.Rule{AtLeast: wit.Ptr(int64(0))}),
			},
		}},
	}
}

// ticket is an item of the API's response, and the value of a record.
type ticket struct {
	ID       int64     `json:"id"`
	Title    string    `json:"title"`
	Customer customer  `json:"customer"`
	Tags     []string  `json:"tags"`
	Updated  time.Time `json:"updated"`
}

type customer struct {
	Name string  `json:"name"`
	City *string `json:"city"`
}

type ticketKey struct {
	ID int64 `json:"id"`
}

// Feeds returns one feed: all tickets, in the order of their creation.
func (tickets) Feeds(_ string, settings []wit.Setting) ([]source.Feed, error) {
	topic := ""
	size := 100
	poll := 60
	var err error
	for _, s := range settings {
		switch s.Name {
		case "tickets.topic":
			topic = s.Value
		case "tickets.page.size":
			size, err = strconv.Atoi(s.Value)
		case "tickets.poll.seconds":
			poll, err = strconv.Atoi(s.Value)
		}
		if err != nil {
			return nil, sdk.NewConfigError(s.Name, "expected a number, found "+strconv.Quote(s.Value))
		}
	}
	return []source.Feed{{
		Name: "tickets", Topic: topic, Identity: "/api/tickets", PollEvery: time.Duration(poll) * time.Second,
		Request: func(at source.Offset) (wit.Request, error) {
			if next := at.String("next"); next != "" {
				return wit.Request{Target: next}, nil // a link of the API, as it was received
			}
			query := url.Values{"limit": {strconv.Itoa(size)}}
			if cursor := at.String("cursor"); cursor != "" {
				query.Set("after", cursor)
			}
			request := wit.Request{Target: "/api/tickets?" + query.Encode()}
			if etag := at.String("etag"); etag != "" {
				request.Headers = []wit.Header{{Name: "If-None-Match", Value: etag}}
			}
			return request, nil
		},
		Read: read,
	}}, nil
}

// read returns the records of a page. It stores the ETag of an empty page, so that the next poll costs the API nothing.
func read(_ source.Offset, response wit.Response) (page source.Page, err error) {
	var body struct {
		Items  []ticket `json:"items"`
		Cursor string   `json:"cursor"`
		Next   string   `json:"next"` // some APIs return a link, which may have another origin
		More   bool     `json:"more"`
	}
	if err := json.Unmarshal(response.Body, &body); err != nil {
		return page, err
	}
	for _, t := range body.Items {
		page.Records = append(page.Records, source.Record{Key: ticketKey{t.ID}, Value: t})
	}
	page.Next = source.Offset{"cursor": body.Cursor}
	page.More = body.More
	if body.Next != "" {
		page.Next = source.Offset{"next": body.Next}
	}
	if len(body.Items) == 0 {
		for _, h := range response.Headers {
			if h.Name == "etag" {
				page.Next["etag"] = h.Value
			}
		}
	}
	return page, nil
}
