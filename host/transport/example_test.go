package transport_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"

	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// A plugin asks for a POST, and says where there may be a token for it. The rest is the client's business: it logs on,
// fetches the token that SAP Gateway wants against forged requests, and keeps it for the next request.
func ExampleClient_Exchange() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		switch token := r.Header.Get("X-CSRF-Token"); {
		case token == "Fetch":
			w.Header().Set("X-CSRF-Token", "t0ken")
		case token != "t0ken":
			w.Header().Set("X-CSRF-Token", "Required")
			w.WriteHeader(http.StatusForbidden)
		default:
			fmt.Println(r.Method, r.URL.Path, "by", user)
			w.WriteHeader(http.StatusCreated)
		}
	}))
	defer service.Close()
	at, err := url.Parse(service.URL)
	if err != nil {
		log.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		log.Fatal(err)
	}

	client, err := transport.New(transport.Config{Scheme: "http", Address: at.Hostname(), Port: port, User: "writer",
		Password: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer client.Close()
	answer, err := client.Exchange(ctx, &wit.Request{Method: "POST", Target: "/orders", TokenFrom: wit.Ptr("/"),
		Body: []byte("{}")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Status)
	// Output:
	// POST /orders by writer
	// 201
}
