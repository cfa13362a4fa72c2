import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

public class Client {
    public static void main(String[] arguments) throws Exception {
        var address = new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1]));
        var client = HttpClient.newBuilder().proxy(ProxySelector.of(address)).build();
        var origin = URI.create(System.getenv("BASE_URL") + "/");
        var builder = HttpRequest.newBuilder(origin);
        var hello = client.send(builder.setHeader("Authorization", "Bearer " + System.getenv("API_KEY")).build(), BodyHandlers.ofString());
        var refused = client.send(builder.setHeader("Authorization", "Bearer own").build(), BodyHandlers.ofString());
        System.out.println(hello.body() + " " + refused.statusCode());
    }
}
