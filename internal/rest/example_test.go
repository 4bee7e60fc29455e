package rest_test

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"

	"github.com/culvert-project/culvert/internal/rest"
)

// herder has one connector.
type herder struct{ rest.Herder }

func (herder) Names() []string { return []string{"orders"} }

// The API serves a custom worker. Listening and serving are two steps, so that an occupied address is reported before
// connectors start.
func ExampleListen() {
	server, err := rest.Listen(rest.Options{Listeners: []string{"http://127.0.0.1:0"}}, slog.New(slog.DiscardHandler))
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	// This worker responds to one request. A host's worker supports all routes. It has no secrets.
	server.Serve(rest.Worker{Now: func() rest.Parts { return rest.Parts{Herder: herder{}} },
		Redact: func(text string) string { return text }})

	answer, err := http.Get(server.URLs()[0] + "/connectors")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	names, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.StatusCode, string(names))
	// Output: 200 ["orders"]
}
