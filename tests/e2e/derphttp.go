// Genuine DERP clients against the relay at 127.0.0.1:PORT: log in, exchange packets, ping, hear of
// absent peers, and of the relay's end, which a byte written to FIFO begins. Exit 0 = all of it worked.
//
//	derphttp PORT FIFO
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"log"
	"os"
	"time"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/types/key"
)

func quiet(string, ...any) {}

func connect(url string) (*derphttp.Client, key.NodePublic) {
	private := key.NewNode()
	c, err := derphttp.NewClient(private, url, quiet, netmon.NewStatic())
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		log.Fatalf("connect: %v", err)
	}
	c.NotePreferred(true)
	return c, private.Public()
}

// The next message of type T; others that may come in between are passed over.
func next[T derp.ReceivedMessage](c *derphttp.Client, what string) T {
	for {
		m, err := c.Recv()
		if err != nil {
			log.Fatalf("%s: %v", what, err)
		}
		if got, ok := m.(T); ok {
			return got
		}
	}
}

func send(c *derphttp.Client, to key.NodePublic, data []byte) {
	if err := c.Send(to, data); err != nil {
		log.Fatalf("send: %v", err)
	}
}

// Waits until the relay has answered, so that it has seen all that was sent before.
func sync(c *derphttp.Client) {
	if err := c.SendPing([8]byte{1, 2, 3}); err != nil {
		log.Fatalf("ping: %v", err)
	}
	if pong := next[derp.PongMessage](c, "pong"); pong != (derp.PongMessage{1, 2, 3}) {
		log.Fatalf("pong is %v", pong)
	}
}

func main() {
	time.AfterFunc(30*time.Second, func() { log.Fatal("took too long") })
	url := "http://127.0.0.1:" + os.Args[1] + "/derp"
	a, aKey := connect(url)
	b, bKey := connect(url)
	sync(a)
	sync(b)

	big := make([]byte, derp.MaxPacketSize)
	rand.Read(big)
	for _, data := range [][]byte{[]byte("hello"), big} {
		send(a, bKey, data)
		got := next[derp.ReceivedPacket](b, "packet")
		if got.Source != aKey || !bytes.Equal(got.Data, data) {
			log.Fatalf("a packet of %d bytes came as %d from %v", len(data), len(got.Data), got.Source)
		}
	}

	absent := key.NewNode().Public()
	send(b, absent, append([]byte("TS💬"), make([]byte, 60)...))
	gone := next[derp.PeerGoneMessage](b, "absent peer")
	if gone.Peer != absent || gone.Reason != derp.PeerGoneReasonNotHere {
		log.Fatalf("absent peer: %v", gone)
	}
	a.Close()
	gone = next[derp.PeerGoneMessage](b, "peer that left")
	if gone.Peer != aKey || gone.Reason != derp.PeerGoneReasonDisconnected {
		log.Fatalf("peer that left: %v", gone)
	}

	if err := os.WriteFile(os.Args[2], []byte("x"), 0); err != nil {
		log.Fatal(err)
	}
	end := next[derp.ServerRestartingMessage](b, "restarting")
	if end.ReconnectIn < 10*time.Second || end.ReconnectIn > 11*time.Second || end.TryFor != time.Minute {
		log.Fatalf("restarting: %+v", end)
	}
}
