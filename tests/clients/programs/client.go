package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func send(method, url, key string, body io.Reader) (int, string) {
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		panic(err)
	}
	return answer.StatusCode, string(text)
}

func main() {
	url, key := os.Getenv("BASE_URL"), os.Getenv("API_KEY")
	_, hello := send("GET", url, key, nil)
	refused, _ := send("GET", url, "own", nil)
	// A reader of unknown length makes the body chunked.
	_, uploaded := send("POST", url+"/upload", key, io.MultiReader(strings.NewReader("up"), strings.NewReader("loaded")))
	fmt.Println(hello, refused, uploaded)
}
