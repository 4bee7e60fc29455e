// Connectivity simulates SAP BTP's connectivity on this machine for trials: see README.md.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

func main() {
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(2)
	}
}

func run() error {
	var o options
	flag.Var(&o.mappings, "map", "VIRTUAL:PORT=REAL:PORT that Cloud Connectors expose, "+
		"LOCATION/VIRTUAL:PORT=REAL:PORT for one of them; may be repeated")
	flag.Var(&o.locations, "location", "location id of a Cloud Connector that is attached, besides the one "+
		"without; may be repeated")
	flag.Var(&o.destinations, "destination",
		"NAME=FILE of the destination service, as JSON with the names of the cockpit; may be repeated")
	flag.StringVar(&o.folder, "write", "connectivity-keys",
		"folder for connectivity-key.json, destination-key.json and vcap.json")
	flag.DurationVar(&o.lifetime, "token-life", 0, "how long tokens are valid (default 1h)")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("expected flags only, found %q", flag.Arg(0))
	}
	subaccount := connectivitytest.NewServer()
	defer subaccount.Close()
	if err := o.apply(subaccount); err != nil {
		return err
	}
	// Register first: a reader of the files may send the signal at once.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	o.printSummary(subaccount)
	if err := o.write(subaccount); err != nil {
		return err
	}
	watch(ctx, subaccount)
	return nil
}

type options struct {
	mappings     texts
	locations    texts
	destinations texts
	folder       string
	lifetime     time.Duration
}

// apply configures the subaccount: Cloud Connectors, exposed addresses, and destinations.
func (o *options) apply(s *connectivitytest.Server) error {
	if o.lifetime > 0 {
		s.Lifetime(o.lifetime)
	}
	attached := map[string]bool{}
	for _, id := range o.locations {
		attached[id] = true
		s.Attach(id)
	}
	for _, text := range o.mappings {
		virtual, real, _ := strings.Cut(text, "=")
		location, address, hasLocation := strings.Cut(virtual, "/")
		if hasLocation {
			virtual = address
		}
		for _, address := range []string{virtual, strings.TrimPrefix(real, "https://")} {
			if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
				return fmt.Errorf("--map: expected VIRTUAL:PORT=REAL:PORT, found %q", text)
			}
		}
		switch {
		case !hasLocation:
			s.Map(virtual, real)
		case !attached[location]:
			return fmt.Errorf("--map: expected --location %s with it, found %q", location, text)
		default:
			s.MapAt(location, virtual, real)
		}
	}
	for _, text := range o.destinations {
		name, file, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("--destination: expected NAME=FILE, found %q", text)
		}
		if err := addDestination(s, name, file); err != nil {
			return fmt.Errorf("--destination: %w", err)
		}
	}
	return nil
}

// addDestination adds a destination of a file. The service returns it below destinationConfiguration, with its name.
func addDestination(s *connectivitytest.Server, name, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var fields map[string]string
	if err := json.Unmarshal(raw, &fields); err != nil {
		return fmt.Errorf("%s: expected an object of texts: %w", file, err)
	}
	fields["Name"] = name
	answer, err := json.Marshal(map[string]any{"owner": map[string]string{"SubaccountId": "double"},
		"destinationConfiguration": fields})
	if err != nil {
		return err
	}
	s.SetDestination(name, string(answer))
	return nil
}

// printSummary prints the addresses and what they expose.
func (o *options) printSummary(s *connectivitytest.Server) {
	fmt.Println("a double of SAP Connectivity and Destination, made from SAP's public pages; there " +
		"is no SAP software in it")
	fmt.Println("socks5       " + s.SOCKS5)
	fmt.Println("http         " + s.HTTP)
	fmt.Println("services     " + s.URL + " (tokens, destinations, attached Cloud Connectors)")
	for _, id := range o.locations {
		fmt.Println("location     " + id)
	}
	for _, text := range o.mappings {
		virtual, real, _ := strings.Cut(text, "=")
		fmt.Println("exposed      " + virtual + " is " + real)
	}
	for _, text := range o.destinations {
		fmt.Println("destination  " + text)
	}
}

// write writes the keys atomically, because another process may wait for them.
func (o *options) write(s *connectivitytest.Server) error {
	if err := os.MkdirAll(o.folder, 0o700); err != nil {
		return err
	}
	for _, file := range []struct{ name, text string }{
		{"connectivity-key.json", s.ServiceKey(0)},
		{"destination-key.json", s.DestinationKey(0)},
		{"vcap.json", s.VCAP(0)},
	} {
		path := filepath.Join(o.folder, file.name)
		if err := os.WriteFile(path+".new", []byte(file.text+"\n"), 0o600); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
		fmt.Println("written      " + path)
	}
	return nil
}
