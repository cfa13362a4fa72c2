package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/gorilla/websocket"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	url := strings.Replace(os.Getenv("BASE_URL"), "https", "wss", 1) + "/ws"
	// DefaultDialer goes by the environment.
	socket, _, err := websocket.DefaultDialer.Dial(url, http.Header{"Authorization": {"Bearer " + os.Getenv("API_KEY")}})
	must(err)
	must(socket.WriteMessage(websocket.TextMessage, []byte("hello")))
	_, text, err := socket.ReadMessage()
	must(err)
	fmt.Println(string(text))
	socket.Close()
}
