import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;

public class Client {
    static final OkHttpClient client = new OkHttpClient();

    static Response ask(String path, String key, RequestBody body) throws Exception {
        var builder = new Request.Builder().url(System.getenv("BASE_URL") + path).header("Authorization", "Bearer " + key);
        return client.newCall((body == null ? builder : builder.post(body)).build()).execute();
    }

    public static void main(String[] arguments) throws Exception {
        var key = System.getenv("API_KEY");
        System.out.println(ask("/", key, null).body().string() + " " + ask("/", "own", null).code() + " " + ask("/upload", key, RequestBody.create("uploaded".getBytes())).body().string());
        System.exit(0);
    }
}
