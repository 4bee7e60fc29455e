package console

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// Forms of the console share REST's limit for bodies: hundreds of half-sent forms, and tens of complete ones at a time,
// need little memory; those above the limit are told to retry, and later forms are answered.
func TestFormsTakeNoMoreRoomThanBodies(t *testing.T) {
	t.Parallel()
	const formBytes, memoryLimit = 4 << 20, 700 << 20
	p := e2etest.NewPlace(t)
	p.Environ = []string{"GOGC="}
	worker := p.StartWorker("conf")
	address := strings.TrimPrefix(worker.URL, "http://")
	const connections, answered = 500, 16
	refused := make(chan string, connections)
	var open []net.Conn
	partOfForm := "text=" + strings.Repeat("x", formBytes-16)
	for range connections {
		c, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer c.Close()
		open = append(open, c)
		go func() {
			fmt.Fprintf(c, "POST /console/form HTTP/1.1\r\nHost: localhost\r\nContent-Type: "+
				"application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n", formBytes)
			io.WriteString(c, partOfForm)
		}()
		go func() {
			head, _ := bufio.NewReader(c).ReadString('\n')
			refused <- head
		}()
	}
	for n := range connections - answered {
		if head := <-refused; !strings.Contains(head, " 503 ") {
			t.Fatalf("expected a form without room to be refused with 503, found %q after %d", head, n)
		}
	}
	for _, c := range open {
		c.Close()
	}
	// HTML encodes each character in five.
	form := "name=a&step=review&text="
	form += strings.Repeat("a%3D%22%26%22%0A", (formBytes-len(form))/16)
	counts := map[int]int{} // number of responses by status
	// The forms of the closed connections may still use memory of the worker.
	worker.Eventually("an answer to one of many forms", func() bool {
		var forms sync.WaitGroup
		statuses := make(chan int, 30)
		for range cap(statuses) {
			forms.Go(func() {
				answer, err := http.Post(worker.URL+"/console/form", "application/x-www-form-urlencoded",
					strings.NewReader(form))
				if err != nil {
					t.Error(err)
					return
				}
				defer answer.Body.Close()
				io.Copy(io.Discard, answer.Body)
				statuses <- answer.StatusCode
			})
		}
		forms.Wait()
		close(statuses)
		for status := range statuses {
			counts[status]++
		}
		return counts[http.StatusOK] > 0 || t.Failed()
	})
	assert.True(t, counts[http.StatusServiceUnavailable] != 0,
		"expected some forms to be rejected with 503, found these numbers by status: %v", counts)
	if a, page := post(t, worker.URL+"/console/form", url.Values{"text": {"a=b"}}, nil); a.StatusCode != http.StatusOK {
		t.Errorf("expected a form that comes later to be answered, found %d %.500s", a.StatusCode, page)
	}
	if peak := worker.PeakMemory(); peak > memoryLimit {
		t.Errorf("expected at most %d MB of memory, found %d", memoryLimit>>20, peak>>20)
	} else {
		t.Logf("%d MB of memory, statuses %v", peak>>20, counts)
	}
}
