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

// The API in front of a worker of one's own: listening and serving are two steps, so that an address that is taken is
// known before connectors start.
func ExampleListen() {
	server, err := rest.Listen(rest.Options{Listeners: []string{"http://127.0.0.1:0"}}, slog.New(slog.DiscardHandler))
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	// A worker that answers what is asked of it here, as that of a host answers everything; it has no secrets.
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
