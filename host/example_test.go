package host_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
)

// A worker inside another program: the connectors of a folder, with plugins from another, until somebody interrupts it.
func ExampleNew() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	files, err := config.Folder("connectors")
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

// What is wrong with an installation, before anything runs: by the files alone, and by what the services say.
func ExampleCheckOnline() {
	files, err := config.Folder("connectors")
	if err != nil {
		log.Fatal(err)
	}
	found, err := host.CheckOnline(context.Background(), host.Config{Files: files, Environ: os.Environ()},
		3*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range found.Problems { // warnings are among them
		fmt.Println(p)
	}
	if found.Err() != nil {
		os.Exit(1)
	}
}

// What a reload of the files would do to a worker with one connector.
func ExampleDifference() {
	files, err := config.Folder("connectors")
	if err != nil {
		log.Fatal(err)
	}
	have := func(rest string) ([]config.Now, error) { // rest is where the worker's REST listens
		return []config.Now{{Name: "orders", Written: map[string]string{"name": "orders", "tasks.max": "1"}}}, nil
	}
	plan, err := host.Difference(context.Background(), host.Config{Files: files}, have)
	if err != nil {
		log.Fatal(err)
	}
	for _, change := range plan {
		fmt.Println(change.Connector, change.Effect, change.Settings)
	}
}

// Dead letters of one connector are sent through it once more, while no worker runs on the data folder.
func ExampleReplay() {
	files, err := config.Folder("connectors")
	if err != nil {
		log.Fatal(err)
	}
	done, err := host.Replay(context.Background(), host.Config{Files: files, Data: "culvert-data"},
		connect.Replay{Topic: "dead-letters", Filter: connect.LetterFilter{Connector: "orders"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Letters, "sent,", done.Refused, "refused again")
}
