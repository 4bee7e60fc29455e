// Demo shows Culvert on one machine: an OData service to read and write, an embedded broker, and connectors in both
// directions. It runs the culvert binary with the configuration next to this file.
//
// go run ./examples/demo --culvert bin/culvert: until Ctrl-C
//
// go run ./examples/demo --culvert bin/culvert --once: until everything has arrived at both ends, then compares
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/odatatest"
)

func main() {
	d := demo{}
	flag.BoolVar(&d.once, "once", false,
		"stop when all has arrived at both ends, and compare; the data folder's name gets -once behind it")
	flag.IntVar(&d.rows, "rows", 0, "orders in the service; order lines are 2.5 times as many (default "+
		"10000, with --once 830)")
	flag.StringVar(&d.data, "data", "data/demo",
		"folder of the embedded broker, which begins empty, and of the plugins' cache")
	flag.StringVar(&d.config, "config", "examples/demo/config", "folder of the worker's and the connectors' files")
	flag.IntVar(&d.port, "port", 0, "port of REST and the console on 127.0.0.1 (default 8083, or another one if it is "+
		"in use)")
	flag.StringVar(&d.culvert, "culvert", "bin/culvert", "the culvert binary")
	flag.Parse()
	if d.rows == 0 {
		d.rows = 10_000
		if d.once {
			d.rows = 830
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	once    bool
	rows    int
	port    int // of REST; 0 means any
	data    string
	config  string
	culvert string
	service *odatatest.Service
}

func (d *demo) run(ctx context.Context) error {
	if d.once {
		d.data += "-once"
	}
	ports := []int{8083, 0}
	if d.port != 0 {
		ports = []int{d.port}
	}
	rest, err := freePort(ports)
	if err != nil {
		return err
	}
	if err := d.deleteOldData(ctx); err != nil {
		return err
	}
	d.service = odatatest.New(odatatest.Options{Rows: d.rows, PageSize: 200, User: "demo", Password: "secret",
		Switches: odatatest.Switches{CSRF: true}})
	listener, err := d.service.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(listener.URL, "http://"))
	if err != nil {
		return err
	}
	d.announce(listener.URL, rest)
	started := time.Now()
	if err := d.runWorker(ctx, port, rest); err != nil {
		return err
	}
	if !d.once || ctx.Err() != nil {
		return nil
	}
	return d.compare(time.Since(started))
}

// deleteOldData deletes all data but the compile cache: the offsets belong to a service that no longer exists.
func (d *demo) deleteOldData(ctx context.Context) error {
	if broker, isRunning := embedded.Find(ctx, d.data); isRunning {
		return fmt.Errorf("a demo is running already on %s, with its broker at %s", d.data, broker)
	}
	return os.RemoveAll(filepath.Join(d.data, "broker"))
}

// announce prints the addresses of the service and of REST before the worker's log.
func (d *demo) announce(service string, rest int) {
	fmt.Printf(`OData service  %[1]s/V2/Northwind/Northwind.svc/  (user demo, password secret)
console        http://127.0.0.1:%[2]d/console/
REST API       http://127.0.0.1:%[2]d/connectors?expand=status
topics         %[3]s topics --data %[4]s
a record       %[3]s consume Orders --data %[4]s -n 1 --values --pretty
configuration  %[5]s
`, service, rest, d.culvert, d.data, d.config)
	if !d.once {
		fmt.Println("Ctrl-C ends it; what has arrived stays in " + d.data +
			" until the next `make demo`, which begins anew.")
	}
	fmt.Println()
}

// runWorker runs culvert until it ends, or ctx ends, which sends SIGTERM.
func (d *demo) runWorker(ctx context.Context, port string, rest int) error {
	args := []string{"run", "--config", d.config, "--data", d.data, "--progress",
		"--set", fmt.Sprintf("listeners=http://127.0.0.1:%d", rest)}
	if d.once {
		args = append(args, "--once")
	}
	c := exec.CommandContext(ctx, d.culvert, args...)
	c.Env = append(os.Environ(), "DEMO_PORT="+port)
	c.Stdout = os.Stdout
	c.Stderr = os.Stderr
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 30 * time.Second
	err := c.Run()
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not there: run `make` first (%w)", d.culvert, err)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", filepath.Base(d.culvert), err)
	}
	return nil
}

// freePort returns the first free port of a list. 0 in the list means any port.
func freePort(ports []int) (free int, err error) {
	for _, port := range ports {
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port, nil
		}
	}
	return 0, fmt.Errorf("--port (make demo PORT=%d): %w", ports[0], err)
}
