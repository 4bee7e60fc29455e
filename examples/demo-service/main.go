// Demo-service is an OData service for trials: see README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/culvert-project/culvert/internal/odatatest"
)

func main() {
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(2)
	}
}

func run() error {
	var o odatatest.Options
	listen := flag.String("listen", "127.0.0.1:8090", "address to listen on; port 0 takes a free one")
	flag.IntVar(&o.Rows, "rows", 830, "number of orders; order lines are 2.5 times as many")
	flag.IntVar(&o.PageSize, "page-size", 1000, "rows in a page; 0: no paging")
	flag.StringVar(&o.User, "user", "", "user for basic authentication; empty: none is asked for")
	flag.StringVar(&o.Password, "password", "", "its password")
	flag.BoolVar(&o.Subscriptions, "subscriptions", false,
		"take subscriptions, and push changes to those who have subscribed")
	var switches settings
	flag.Var(&switches, "switch", "name=value, may be repeated; names: "+strings.Join(odatatest.SwitchNames(), ", "))
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("expected flags only, found %q", flag.Arg(0))
	}
	s := odatatest.New(o)
	for _, text := range switches {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("--switch: expected name=value, found %q", text)
		}
		if err := s.Set(name, value); err != nil {
			return err
		}
	}
	l, err := s.Start(*listen)
	if err != nil {
		return err
	}
	// Register first: a reader of the address may send the signal at once.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	fmt.Println(l.URL)
	<-ctx.Done()
	return l.Close()
}

// settings collects the values of a repeated flag.
type settings []string

func (s *settings) String() string { return strings.Join(*s, " ") }

func (s *settings) Set(text string) error {
	*s = append(*s, text)
	return nil
}
