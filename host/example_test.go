package host_test

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/culvert-project/culvert/host"
)

// A program embeds a worker. It runs the connectors of a folder, with plugins from another one, until it is
// interrupted.
func ExampleNew() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	files, err := host.ListFolder("connectors")
	if err != nil {
		log.Fatal(err)
	}
	worker, err := host.New(ctx, host.Config{
		Files:    files,
		Plugins:  []string{"plugins"},
		Settings: map[string]string{"bootstrap.servers": "kafka.example:9092"},
		Environ:  os.Environ(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := worker.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
